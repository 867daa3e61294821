"""Subjects for the tests of sweeps: cheap ones, slow ones, and ones that fail or end their worker."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from typing import Any

import numpy as np

from experiments.sweeps.subject import Quantity, Subject
from theory.parameters import parameter


@dataclass(frozen=True)
class Parameters:
    """Two numbers, a list, and how the cell behaves."""

    a: int = parameter(1, "first number", minimum=0, maximum=1000)
    b: float = parameter(0.5, "second number")
    powers: tuple[int, ...] = parameter((1, 2), "powers", minimum=1)
    delay: float = parameter(0.0, "seconds that the cell takes", minimum=0.0)
    mode: str = parameter("good", "behaviour", choices=("good", "fail", "die"))


def compute(parameters: Parameters, seed: int) -> dict[str, Any]:
    """A value that depends on every parameter and on the seed."""
    if parameters.delay:
        time.sleep(parameters.delay)
    if parameters.mode == "fail" and parameters.a == 2:
        raise ArithmeticError(f"a = {parameters.a} cannot be computed")
    if parameters.mode == "die" and parameters.a == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    noise = np.random.default_rng([seed, parameters.a]).normal(size=4)
    value = sum(parameters.b**power for power in parameters.powers) * parameters.a
    return {
        "value": value + noise[0],
        "expected": value,
        "large": float("inf") if parameters.a == 0 else 1.0,
        "nested": {"mean": float(noise.mean()), "list": noise},
        "kind": "even" if parameters.a % 2 == 0 else "odd",
        "duration": 12,
    }


CHEAP = Subject(
    "cheap",
    "A subject for tests",
    Parameters,
    compute,
    memory=lambda parameters: 1e18 if parameters.a == 999 else 1e3,
    quantities={"value": Quantity("value (units)", predicted="expected"), "kind": Quantity("kind")},
)


def spin(parameters: Parameters, seed: int) -> dict[str, Any]:
    """Keep one processor busy until it has had ``delay`` seconds of it."""
    end = time.process_time() + parameters.delay
    total = 0.0
    while time.process_time() < end:
        total += float(np.arange(20_000.0).sum())
    return {"value": parameters.a, "positive": total > 0}


BUSY = Subject("busy", "A subject that takes processor time", Parameters, spin)

CHEAP_NAME = f"{__name__}:CHEAP"
BUSY_NAME = f"{__name__}:BUSY"


def lengths(coupling: float, sites: int = 8, shape: str = "ring", seed: int = 0) -> dict[str, float]:
    """The ring of a few lines that a user might sweep."""
    noise = np.random.default_rng(seed).normal()
    return {"length": -1 / np.log(np.tanh(coupling)), "sites": sites, "noise": noise, "rings": float(shape == "ring")}


def plain_square(x: float = 2.0) -> float:
    """A number from a number."""
    return x * x


LENGTHS_NAME = f"{__name__}:lengths"
