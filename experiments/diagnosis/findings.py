"""A diagnosis: findings in the order of severity, what could not be told and why, the answer in a sentence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from math import inf, isfinite
from typing import Any

from experiments.diagnosis.modes import EVERY, Mode
from theory.pictures import Pictured

ROUNDING = 1e-9
"""Sizes below this are rounding."""

KINDS = {"exact": "", "unbiased": "about ", "upper": "at most ", "lower": "at least "}
"""What a number is, and how that is said before it."""


@dataclass(frozen=True)
class Finding:
    """One failure mode, measured.

    Attributes:
        mode: which.
        number: in the mode's unit; infinite where nothing is ever enough.
        kind: exact, unbiased (a mean over samples), upper or lower (a bound).
        says: what was measured, in a sentence without a full stop.
        remedy: a command to try; empty where there is nothing to mend.
        effect: what the remedy was measured to give; empty where it was not measured.
    """

    mode: Mode
    number: float
    kind: str
    says: str
    remedy: str = ""
    effect: str = ""

    @property
    def severity(self) -> float:
        """The number over its threshold, not below 0."""
        return max(0.0, self.number) / self.mode.threshold

    @property
    def matters(self) -> bool:
        """Whether something should be done."""
        return self.severity >= 1


@dataclass
class Diagnosis(Pictured):
    """What is likely to fail.

    Attributes:
        subject: what was diagnosed, in words.
        settings: under which numbers of calls, mask size, steps.
        findings: see `ranked`.
        left_out: failure mode -> why it does not apply, or could not be measured.
    """

    subject: str
    settings: dict[str, Any] = field(default_factory=dict)
    findings: list[Finding] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)

    def add(
        self, mode: Mode, number: float, says: str, kind: str = "exact", remedy: str = "", effect: str = ""
    ) -> None:
        """A finding; where it does not matter there is nothing to mend."""
        found = Finding(mode, number, kind, says, remedy, effect)
        self.findings.append(found if found.matters else Finding(mode, number, kind, says))

    def leave_out(self, reason: str, *modes: Mode) -> None:
        """Modes that do not apply, or cannot be measured."""
        self.left_out |= {mode.name: reason for mode in modes}

    @property
    def ranked(self) -> list[Finding]:
        """The most severe first; of equal ones in the order of the modes."""
        return sorted(self.findings, key=lambda found: (-found.severity, EVERY.index(found.mode)))

    @property
    def worst(self) -> Finding | None:
        """The finding to mend first; None where nothing matters."""
        first = self.ranked[:1]
        return first[0] if first and first[0].matters else None

    @property
    def answer(self) -> str:
        """One or two sentences."""
        first = self.worst
        if first is None:
            if not self.findings:
                return f"{self.subject}: nothing could be measured."
            most = self.ranked[0]
            return (
                f"{self.subject}: nothing of what could be measured fails; nearest to it is {most.mode.name}, at "
                f"{shown(most.severity)} of its threshold ({most.says})."
            )
        others = sum(found.matters for found in self.findings) - 1
        also = "" if not others else f", before {others} other{'s' * (others > 1)}"
        gives = f", which gives {first.effect}" if first.effect else ""
        tried = f" Try `{first.remedy}`{gives}." if first.remedy else ""
        times = f"{shown(first.severity)} times its threshold" if isfinite(first.severity) else "without limit"
        return f"{self.subject}: {first.mode.name} matters most{also}, {times}: {first.says}.{tried}"

    def record(self) -> dict[str, Any]:
        """Plain data; numbers that are infinite are None, with ``never`` true."""
        return {
            "subject": self.subject,
            "answer": self.answer,
            "settings": self.settings,
            "findings": [
                {
                    "mode": found.mode.name,
                    "severity": _finite(found.severity),
                    "matters": found.matters,
                    "number": _finite(found.number),
                    "never": not isfinite(found.number),
                    "unit": found.mode.unit,
                    "kind": found.kind,
                    "threshold": found.mode.threshold,
                    "threshold_reason": found.mode.reason,
                    "claims": list(found.mode.claims),
                    "says": found.says,
                    "try": found.remedy or None,
                    "effect": found.effect or None,
                }
                for found in self.ranked
            ],
            "left_out": self.left_out,
        }

    def __str__(self) -> str:
        return self.answer


def severity_of(finding: Mapping[str, Any]) -> float:
    """The severity in a record."""
    return inf if finding["never"] else float(finding["severity"])


def shown(value: float) -> str:
    """A number in a sentence: three digits, thousands set apart."""
    if not isfinite(value):
        return "infinitely many"
    if abs(value) < ROUNDING:
        return "0"
    if value and not 1e-3 <= abs(value) < 1e7:
        return f"{value:.3g}"
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _finite(value: float) -> float | None:
    return float(value) if isfinite(value) else None
