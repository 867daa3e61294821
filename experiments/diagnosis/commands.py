"""The commands that a diagnosis recommends, for whatever it is about."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path

STORED = "--table law.npy"
"""The law of a diagnosis in Python, as if `numpy.save` had stored its table in law.npy."""


@dataclass(frozen=True)
class Commands:
    """How the subject is named on the command line.

    Attributes:
        diagnose: options of `gmlm diagnose` that name it.
        chain: command and options that analyse its samplers; mask sizes follow.
        decode: command and options that decode it.
    """

    diagnose: str
    chain: str
    decode: str

    @staticmethod
    def of_law(options: str, chains: bool = True) -> Commands:
        """For the options that name a law; without ``chains`` it is one that `gmlm chain` does not know."""
        return Commands(options, f"gmlm {'chain' if chains else 'diagnose'} {options}", f"gmlm decode {options}")

    @staticmethod
    def of_window(folder: Path, sequence: str, region: str, alphabet: str | None) -> Commands:
        """For a window of a masked network."""
        where, around, sites = (shlex.quote(str(value)) for value in (folder, sequence, region))
        symbols = "" if alphabet is None else f" --alphabet {shlex.quote(alphabet)}"
        window = f"{where} --sequence {around} --sites {sites}{symbols}"
        return Commands(
            f"--mlm {where} --sequence {around} --region {sites}{symbols}",
            f"gmlm mlm window {window}",
            f"gmlm mlm sample {window}",
        )

    def masks(self, k: int) -> str:
        """The samplers, with masks of k sites."""
        return f"{self.chain} --k {k}"

    def decoder(self, name: str, calls: int) -> str:
        """A decoder with so many calls."""
        return f"{self.decode} --decoder {name} --calls {calls}"

    def again(self, **options: int) -> str:
        """The diagnosis itself, with other settings."""
        return " ".join([f"gmlm diagnose {self.diagnose}", *(f"--{name} {value}" for name, value in options.items())])
