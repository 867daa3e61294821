"""Sweeps: designs over the parameters of a subject, run by Dask, kept in SQLite, read as data frames.

From Python::

    from experiments.sweeps import open_results
    frame = open_results("results/sweeps.sqlite").frame("subject=chain", "k<=3")
"""

from experiments.sweeps.results import open_results

__all__ = ["open_results"]
