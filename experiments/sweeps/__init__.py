"""Sweeps: designs over the parameters of a subject, run by Dask, kept in SQLite, read as data frames.

From Python::

    from gmlm import open_results, run_sweep
    run_sweep("chain", {"coupling": "0:1:0.1", "k": [1, 2, 3]})
    frame = open_results("results/sweeps.sqlite").frame("k<=3", subject="chain")
"""

from experiments.sweeps.results import open_results
from experiments.sweeps.sweep import run_sweep

__all__ = ["open_results", "run_sweep"]
