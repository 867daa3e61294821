"""Pictures of results: one function draws them all, and results have it as their method `plot`.

A module of this package for each kind of result; `experiments.pictures.drawers` finds the one that draws.
"""

from experiments.pictures.exploring import explore
from experiments.pictures.plotting import plot
from theory.pictures import draw_with

__all__ = ["explore", "plot"]

draw_with(plot)
