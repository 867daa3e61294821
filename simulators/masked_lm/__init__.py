"""Masked language models of any make under the exact theory: one adapter for networks, windows, folders of others.

`MaskedLM` wraps a network; torch and transformers (extra ``mlm``) are imported only where a folder is opened.
"""

from __future__ import annotations

from simulators.masked_lm.alphabets import Alphabet
from simulators.masked_lm.masked_lm import MaskedLM
from simulators.masked_lm.region import Region
from simulators.masked_lm.window import WindowConditionals

__all__ = ["Alphabet", "MaskedLM", "Region", "WindowConditionals"]
