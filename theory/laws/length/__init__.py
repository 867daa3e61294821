"""Laws of sequences of hundreds or thousands of sites, with exact conditionals."""

from theory.laws.length.brackets import bracket_law
from theory.laws.length.corpus import fit_markov, read_text
from theory.laws.length.latent import HiddenMarkovLaw, MixtureLaw, UrnLaw
from theory.laws.length.law import Reader, SequenceLaw, draw
from theory.laws.length.markov import MarkovLaw
from theory.laws.length.trees import TreeLaw, copying_law

__all__ = [
    "HiddenMarkovLaw",
    "MarkovLaw",
    "MixtureLaw",
    "Reader",
    "SequenceLaw",
    "TreeLaw",
    "UrnLaw",
    "bracket_law",
    "copying_law",
    "draw",
    "fit_markov",
    "read_text",
]
