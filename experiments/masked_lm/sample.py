"""Sequences from a network: many chains of any sampler, or any decoder, with what can be said of them and no more.

Half of the chains start from the sequence itself, half from sequences decoded left to right from the masked region.
Where the two halves still differ at the end, the chain has not mixed, and by how much is bounded from below: for any
event A, TV(P^t(x, .), P^t(y, .)) >= P^t(x, A) - P^t(y, A), and a chain within eps of its law from both starts has at
most 2 eps there. A is chosen on half of the chains and tested on the others, so that its interval means what it says.

A run is kept in one file after every part; the part's random key is a function of seed and part, so that a run that was
killed goes on to the same result.

Legend: ``B`` chains, ``T`` recorded draws, ``n`` sites.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from experiments.statistics import clopper_pearson
from simulators.masked_lm import Region
from theory.decoding.registry import parse
from theory.decoding.sampling import sample
from theory.decoding.tables import FunctionPredictor
from theory.errors import InvalidInput
from theory.files import write_atomically
from theory.masks import k_uniform
from theory.parameters import parameter
from theory.samplers import parse_sampler

Tokens = NDArray[np.int64]
Say = Callable[[int, int, str], None]

MISSED = 0.01
"""Error probability of the "not mixed" bound, and of each share of independent draws."""
PARTS = 20
"""A run is kept about so many times."""
SHOWN = 8
"""Most frequent sequences that a record lists."""


@dataclass(frozen=True)
class Plan:
    """How a sampler is run; everything that decides the draws.

    Attributes:
        sampler: read by `theory.samplers.parse_sampler`.
        size: mask size k.
        temperature: of the conditionals.
        chains, steps, every: B, steps of each chain, and steps between recorded draws.
        seed: of everything.
    """

    sampler: str = parameter("k-gibbs", "the sampler")
    size: int = parameter(1, "sites of a mask", minimum=1)
    temperature: float = parameter(1.0, "conditionals to the power 1/T", minimum=0.0)
    chains: int = parameter(16, "chains", minimum=4)
    steps: int = parameter(1000, "steps of each chain", minimum=1)
    every: int = parameter(10, "steps between recorded draws", minimum=1)
    seed: int = parameter(0, "of everything", minimum=0)


def chains_record(
    region: Region, plan: Plan, kept: Path | None = None, say: Say = lambda *what: None
) -> dict[str, Any]:
    """Run chains (on from where the file ``kept`` stands) and say what they show.

    Raises:
        InvalidInput: an unknown sampler, fewer than 4 chains or 8 draws, steps that are no multiple of ``every``, a
            sequence with tokens outside the alphabet, or a file of another run.
    """
    import jax

    from simulators.montecarlo import simulate as running
    from simulators.montecarlo.samplers import State

    draws_wanted = _check(region, plan)
    sampler, rate = _sampler(region, plan)
    identity = json.dumps({**asdict(plan), "region": _identity(region)}, sort_keys=True)
    state = None if kept is None else _load(kept, identity)
    if state is None:
        generator = np.random.default_rng((plan.seed, 1))
        state = {
            "position": _starts(region, plan, generator),
            "draws": np.zeros((plan.chains, 0, region.sites), np.int16),
        }
    part = max(1, draws_wanted // PARTS)
    # The last part may be shorter; it costs one more compilation.
    while (done := state["draws"].shape[1]) < draws_wanted:
        count = min(part, draws_wanted - done)
        say(done * plan.every, plan.steps, f"{region.calls} rows of the network")
        key = jax.random.fold_in(jax.random.key(plan.seed), done)
        run = running.simulate(
            sampler,
            State(jax.numpy.asarray(state["position"], dtype=jax.numpy.int32)),
            key,
            count * plan.every,
            record={"tokens": _itself},
            every=plan.every,
        )
        draws = np.asarray(run.draws["tokens"]).astype(np.int16)
        state = {"position": np.asarray(run.state.position), "draws": np.concatenate([state["draws"], draws], axis=1)}
        if kept is not None:
            _save(kept, identity, state)
    say(plan.steps, plan.steps, f"{region.calls} rows of the network")
    record = {**asdict(plan), "sites": list(region.places), "rows": region.calls, **diagnose(region, state["draws"])}
    if rate is not None:
        record["acceptance"] = rate(state["position"])
    record["sequences"] = [region.text(row, whole=True) for row in state["position"]]
    return record


def decoder_record(region: Region, text: str, calls: int, count: int, seed: int, say: Say) -> dict[str, Any]:
    """Independent sequences from a decoder, the region masked at first.

    Raises:
        InvalidInput: an unknown decoder, or one that does not fit.
    """
    rule = parse(text)
    model = FunctionPredictor(region.sites, region.symbols, region.probabilities)
    found = sample(
        model,
        rule,
        calls,
        count,
        np.random.default_rng(seed),
        lambda done, steps: say(done, steps, "steps of the decoder"),
    )
    values, counts = np.unique(found.sequences, axis=0, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:SHOWN]
    return {
        "decoder": text,
        "calls_asked": calls if rule.reads_calls else None,
        "calls": float(found.calls.mean()),
        "rows": region.calls,
        "seed": seed,
        "modes": [
            {
                "sequence": region.text(values[i]),
                "share": float(counts[i] / count),
                "interval": list(clopper_pearson(int(counts[i]), count, MISSED)),
            }
            for i in order
        ],
        "sequences": [region.text(row, whole=True) for row in found.sequences],
    }


def fasta(record: dict[str, Any]) -> str:
    """The sequences of a record as FASTA."""
    head = record.get("decoder") or f"{record['sampler']} k={record['size']} T={record['temperature']:g}"
    return "".join(f">{index + 1} {head}\n{text}\n" for index, text in enumerate(record["sequences"]))


def _itself(position: Any) -> Any:
    return position


def _check(region: Region, plan: Plan) -> int:
    parse_sampler(plan.sampler)
    if plan.size > region.sites:
        raise InvalidInput("--k", plan.size, f"{region.sites} sites may change: 1..{region.sites}")
    if plan.steps % plan.every or plan.steps // plan.every < 8:
        raise InvalidInput("--steps", plan.steps, f"a multiple of --every = {plan.every}, with at least 8 draws")
    if region.native is None:
        raise InvalidInput("--alphabet", f"{region.symbols} symbols", "the sequence has a token that is not among them")
    return plan.steps // plan.every


def _sampler(region: Region, plan: Plan) -> tuple[Any, Callable[[Any], float] | None]:
    """The sampler; for a correction also a measurement of how often it accepts."""
    import jax

    from simulators.masked_lm.simulated import NetworkModel, PseudoLikelihood
    from simulators.montecarlo.models import Tempered
    from simulators.montecarlo.samplers import State, simulated

    plain = NetworkModel(region)
    model = plain if plan.temperature == 1 else Tempered(plain, plan.temperature)
    kind = parse_sampler(plan.sampler)
    masks = k_uniform(region.sites, 1 if kind.uses_masks == "order" else plan.size)
    if not kind.needs_law:
        return simulated(kind, model, masks), None
    sampler = simulated(kind, model, masks, PseudoLikelihood(region))

    def rate(position: Any) -> float:
        state, accepted = State(jax.numpy.asarray(position, dtype=jax.numpy.int32)), []
        for step in range(16):
            state, info = sampler.step(jax.random.fold_in(jax.random.key(plan.seed + 1), step), state)
            accepted.append(np.asarray(info.accepted))
        return float(np.mean(accepted))

    return sampler, rate


def _starts(region: Region, plan: Plan, generator: np.random.Generator) -> Tokens:
    """The sequence itself for even chains, left-to-right decoded ones for odd chains, [B, n]."""
    model = FunctionPredictor(region.sites, region.symbols, region.probabilities)
    decoded = sample(model, parse("left-to-right"), region.sites, plan.chains, generator).sequences
    assert region.native is not None
    decoded[::2] = region.native
    return decoded


def diagnose(region: Region, draws: NDArray[np.int16]) -> dict[str, Any]:
    """R-hat, effective sizes, shares of the most frequent sequences with intervals, the bound on not being mixed.

    None stands for what does not exist: an R-hat that is infinite, and all that would rest on it.
    """
    from simulators.montecarlo.diagnostics import effective_sample_size, mean_with_error, split_r_hat

    assert region.native is not None
    chains, count, _ = draws.shape
    half = draws[:, count // 2 :]
    native = (half == region.native).sum(axis=2).astype(np.float64)
    values, where, counts = np.unique(half.reshape(-1, region.sites), axis=0, return_inverse=True, return_counts=True)
    labels = where.reshape(chains, -1)
    modes = []
    for index in np.argsort(-counts, kind="stable")[:SHOWN]:
        inside = (labels == index).astype(np.float64)
        share, error = mean_with_error(inside)
        rate = split_r_hat(inside)
        # Where no chain goes in and out, a share says where the chains were put, and an interval would say nothing.
        known = np.isfinite(error) and np.isfinite(rate)
        modes.append(
            {
                "sequence": region.text(values[index]),
                "share": share,
                "interval": [max(0.0, share - 1.96 * error), min(1.0, share + 1.96 * error)] if known else None,
                "r_hat": _number(rate),
                "chains": int(inside.any(axis=1).sum()),
            }
        )
    rates = [split_r_hat((half[:, :, site] == region.native[site]).astype(np.float64)) for site in range(region.sites)]
    overall = split_r_hat(native)
    size = effective_sample_size(native) if np.isfinite(overall) else float("nan")
    bound = not_mixed(draws, region.native)
    # A site that never differs has none; one that differs between chains and never within one has an infinite one.
    worst = max((rate for rate in rates if not np.isnan(rate)), default=float("nan"))
    return {
        "draws": int(half.shape[1]),
        "chains_that_moved": int((half != half[:, :1]).any(axis=(1, 2)).sum()),
        "r_hat": _number(overall),
        "r_hat_worst_site": _number(worst),
        "effective_sample_size": _number(size),
        "autocorrelation_time": _number(native.size / size) if np.isfinite(size) else None,
        "native_tokens": float(native.mean()),
        "modes": modes,
        "not_mixed": bound,
    }


def not_mixed(draws: NDArray[np.integer], native: NDArray[np.integer]) -> dict[str, Any]:
    """Lower bound on max_x TV(P^t(x, .), pi) at the last draw, from chains that start at two places (even and odd).

    The event "at most c tokens differ from the sequence" is chosen on half of the chains of each kind; each of the two
    probabilities is bounded on the others at half of the error. A bound of 0 shows nothing, mixing least of all.
    """
    far = (draws[:, -1] != native).sum(axis=1)
    groups = [far[0::2], far[1::2]]
    chosen = [group[: len(group) // 2] for group in groups]
    tested = [group[len(group) // 2 :] for group in groups]
    cuts = range(int(far.max()) + 1)
    gains = [float((chosen[0] <= c).mean() - (chosen[1] <= c).mean()) for c in cuts]
    cut = int(np.argmax(np.abs(gains)))
    first, second = (0, 1) if gains[cut] >= 0 else (1, 0)
    low = clopper_pearson(int((tested[first] <= cut).sum()), len(tested[first]), MISSED)[0]
    high = clopper_pearson(int((tested[second] <= cut).sum()), len(tested[second]), MISSED)[1]
    return {"bound": max(0.0, (low - high) / 2), "confidence": 1 - MISSED, "event": f"at most {cut} tokens differ"}


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _identity(region: Region) -> dict[str, Any]:
    return {
        "network": region.network.identity,
        "precision": region.network.precision,
        "context": region.context.tolist(),
        "sites": list(region.places),
        "alphabet": region.ids.tolist(),
    }


def _save(path: Path, identity: str, state: dict[str, Any]) -> None:
    buffer = io.BytesIO()
    np.savez_compressed(buffer, identity=identity, **state)
    write_atomically(path, buffer.getvalue())


def _load(path: Path, identity: str) -> dict[str, Any] | None:
    if not path.exists():
        return None
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as found:
            known = str(found["identity"])
            state = {"position": found["position"], "draws": found["draws"]}
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        raise InvalidInput("--keep", str(path), "not a file of a run") from None
    if known != identity:
        raise InvalidInput("--keep", str(path), "holds a run of another model, sequence or setting")
    return state
