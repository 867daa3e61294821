"""Remasking, planning, drafting and score decoders against decoders written out by hand.

Each rule's enumerated law and expected calls equal those of the plain Python of its published description, for a law
with zeros and, where any network will do, for conditionals that no joint law has.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.theory import drafting_by_hand, noise_by_hand, remasking_by_hand
from tests.theory.decoding_by_hand import (
    Moves,
    Network,
    PlainPredictor,
    draws,
    incompatible_network,
    network_of,
    put,
    run,
)
from tests.theory.decoding_laws import product_law, random_law
from theory.decoding.enumeration import decode
from theory.decoding.registry import parse
from theory.decoding.tables import KnownLaw
from theory.errors import InvalidInput
from theory.laws.joint import JointLaw

SPARSE = random_law(3, 4, 2, sparse=True)
TERNARY = random_law(5, 3, 3, sparse=True)

LAWS = {"sparse": (network_of(SPARSE), KnownLaw(SPARSE)), "ternary": (network_of(TERNARY), KnownLaw(TERNARY))}
MADE_UP = incompatible_network(3, 2, seed=8)
NETWORKS = LAWS | {"incompatible": (MADE_UP, PlainPredictor(MADE_UP))}

RELABELLED = (
    "remdm",
    "dfm",
    "p2:ties=random",
    "informed:tau=1",
    "mask-predict:ties=random",
    "edit:theta=0.5,theta_e=0.5,edits=2,ties=random",
    "klass:theta=0.6,kappa=0.1,ties=random",
    "tau-leaping:noise=uniform",
    "ddpd",
    "random-order+k-parallel:k=2",
)
"""Rules in which no site comes first."""

ByHand = Callable[[Network], tuple[dict, float]]

ANY_NETWORK: dict[str, tuple[int, ByHand]] = {
    "remdm:schedule=cap,eta=0.3": (4, lambda n: remasking_by_hand.remdm(n, 4, "cap", 0.3)),
    "remdm:schedule=rescale,eta=0.6": (3, lambda n: remasking_by_hand.remdm(n, 3, "rescale", 0.6)),
    "remdm:schedule=conf": (4, lambda n: remasking_by_hand.remdm(n, 4, "conf", 0.0)),
    "remdm:schedule=loop,eta=0.1": (5, lambda n: remasking_by_hand.remdm(n, 5, "loop", 0.1)),
    "remdm:schedule=loop,eta=0.25,t_on=0.7,t_off=0.3,alpha_on=0.8": (
        6,
        lambda n: remasking_by_hand.remdm(n, 6, "loop", 0.25, (0.7, 0.3, 0.8)),
    ),
    "remdm:schedule=loop,eta=0.1,tail=drawn": (4, lambda n: remasking_by_hand.remdm(n, 4, "loop", 0.1, drawn=True)),
    "forward-backward:tail=drawn": (3, lambda n: remasking_by_hand.forward_backward(n, 3, drawn=True)),
    "dfm:eta=2,tail=drawn": (4, lambda n: remasking_by_hand.dfm(n, 4, 2.0, drawn=True)),
    "forward-backward": (4, lambda n: remasking_by_hand.forward_backward(n, 4)),
    "dfm:eta=10": (3, lambda n: remasking_by_hand.dfm(n, 3, 10.0)),
    "dfm:eta=0.5": (5, lambda n: remasking_by_hand.dfm(n, 5, 0.5)),
    "p2": (4, lambda n: remasking_by_hand.p2(n, 4, 1.0)),
    "p2:eta=0": (3, lambda n: remasking_by_hand.p2(n, 3, 0.0)),
    "p2:eta=2.5": (5, lambda n: remasking_by_hand.p2(n, 5, 2.5)),
    "informed": (3, lambda n: remasking_by_hand.informed(n, 3, 1, 0.0, margin=True)),
    "informed:k=2,tau=0.7,score=probability": (2, lambda n: remasking_by_hand.informed(n, 2, 2, 0.7, margin=False)),
    "mask-predict": (3, lambda n: remasking_by_hand.mask_predict(n, 3, greedy=False)),
    "mask-predict:temperature=0": (4, lambda n: remasking_by_hand.mask_predict(n, 4, greedy=True)),
    "edit:theta=0.6,theta_e=0.5,edits=2": (9, lambda n: remasking_by_hand.edit(n, 0.6, 0.5, 2, greedy=False)),
    "edit:theta=0.7,theta_e=0.4,edits=3,temperature=0": (
        9,
        lambda n: remasking_by_hand.edit(n, 0.7, 0.4, 3, greedy=True),
    ),
    "speculative:k=2": (9, lambda n: drafting_by_hand.speculative(n, 2)),
    "speculative:k=3": (9, lambda n: drafting_by_hand.speculative(n, 3)),
    "klass:theta=0.6,kappa=0.05,h=1": (3, lambda n: drafting_by_hand.klass(n, 3, 0.6, 0.05, 1)),
    "klass:theta=0.5,kappa=0.3,h=2": (5, lambda n: drafting_by_hand.klass(n, 5, 0.5, 0.3, 2)),
    "tweedie": (3, lambda n: noise_by_hand.masked_scores(n, 3, lambda mean: mean)),
    "euler": (4, lambda n: noise_by_hand.masked_scores(n, 4, lambda mean: mean)),
    "tau-leaping": (3, lambda n: noise_by_hand.masked_scores(n, 3, lambda mean: mean * math.exp(-mean))),
}


def check(text: str, calls: int, by_hand: ByHand, network: Network, predictor: object, tolerance: float) -> None:
    expected, expected_calls = by_hand(network)
    decoded = decode(predictor, parse(text), calls)
    assert abs(sum(expected.values()) - 1) < 1e-9
    np.testing.assert_allclose(decoded.law.table, as_table(expected, network), atol=tolerance)
    assert decoded.expected_calls == pytest.approx(expected_calls, abs=max(1e-9, 10 * tolerance))


def as_table(law: dict, network: Network) -> np.ndarray:
    table = np.zeros((network.q,) * network.n)
    for x, p in law.items():
        table[x] = p
    return table


@pytest.mark.parametrize("text", ANY_NETWORK)
@pytest.mark.parametrize("name", NETWORKS)
def test_rule_is_the_decoder_written_by_hand(text: str, name: str) -> None:
    check(text, *ANY_NETWORK[text], *NETWORKS[name], tolerance=1e-12)


@pytest.mark.parametrize("k", [2, 3])
@pytest.mark.parametrize("w", [0.3, 0.7])
def test_adaptive_parallel_against_numerical_integration(k: int, w: float) -> None:
    text = f"adaptive-parallel:k={k},w={w}"
    check(text, 1, lambda n: drafting_by_hand.adaptive_parallel(n, k, w), MADE_UP, PlainPredictor(MADE_UP), 1e-6)


@pytest.mark.parametrize("kind", ["tweedie", "euler", "tau-leaping"])
@pytest.mark.parametrize("name", LAWS)
def test_uniform_noise_by_hand(kind: str, name: str) -> None:
    # The first step by hand is at survival 1e-9 instead of its limit 0.
    check(f"{kind}:noise=uniform", 4, lambda n: noise_by_hand.uniform_scores(n, 4, kind), *LAWS[name], tolerance=1e-6)


@pytest.mark.parametrize("name", LAWS)
def test_planner_by_hand(name: str) -> None:
    check("ddpd", 2, lambda n: noise_by_hand.ddpd(n, 2), *LAWS[name], tolerance=1e-12)


@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("name", ["k-gibbs", "k-parallel", "metropolis-hastings"])
def test_chain_steps_by_hand(name: str, k: int) -> None:
    network, model = LAWS["ternary"]
    before = decode(model, parse("random-order"), 2)
    after = decode(model, parse(f"random-order+{name}:k={k},times=2"), 2)
    expected, _ = run(dict(np.ndenumerate(before.law.table)), [chain_step(network, name, k)] * 2)
    np.testing.assert_allclose(after.law.table, as_table(expected, network), atol=1e-13)
    calls = {"k-gibbs": k, "k-parallel": 1, "metropolis-hastings": 2 * k - 1}[name]
    assert after.expected_calls == pytest.approx(before.expected_calls + 2 * calls)


def chain_step(network: Network, name: str, k: int) -> Callable:
    """One step of a chain on full sequences: masks k sites, each set equally likely."""
    sets = list(itertools.combinations(range(network.n), k))

    def in_turn(x: tuple, sites: tuple, y: tuple) -> float:
        chance, z = 1.0, put(x, dict.fromkeys(sites))
        for i in sites:
            chance *= network(z)[i][y[i]]
            z = put(z, {i: y[i]})
        return chance

    def moves(x: tuple) -> Moves:
        for sites in sets:
            laws = network(put(x, dict.fromkeys(sites)))
            for tokens, at_once in draws(laws, sites):
                y = put(x, tokens)
                if name == "k-parallel":
                    yield y, at_once / len(sets), 1.0
                if name == "metropolis-hastings":
                    old = math.prod(laws[i][x[i]] for i in sites)
                    down, up = in_turn(x, sites, x) * at_once, in_turn(x, sites, y) * old
                    accepted = min(1.0, up / down) if down > 0 else 1.0
                    yield y, at_once * accepted / len(sets), 1.0
                    yield x, at_once * (1 - accepted) / len(sets), 1.0
            if name == "k-gibbs":
                for tokens in itertools.product(range(network.q), repeat=k):
                    y = put(x, dict(zip(sites, tokens, strict=True)))
                    yield y, in_turn(x, sites, y) / len(sets), 1.0

    return moves


def test_chain_steps_follow_blocks_and_one_another() -> None:
    network, model = NETWORKS["incompatible"]
    before = decode(model, parse("confidence:block=2"), 3).law.table
    after = decode(model, parse("confidence:block=2+k-gibbs:k=2+k-parallel:k=1"), 3).law.table
    steps = [chain_step(network, "k-gibbs", 2), chain_step(network, "k-parallel", 1)]
    expected, _ = run(dict(np.ndenumerate(before)), steps)
    np.testing.assert_allclose(after, as_table(expected, network), atol=1e-13)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p2:eta=-1", "eta"),
        ("remdm:schedule=never", "schedule"),
        ("remdm:schedule=loop,t_on=0.04", "t_on"),
        ("remdm:schedule=loop,alpha_on=1", "alpha_on"),
        ("random-order+k-gibbs:k=5", "k = 5"),
        ("random-order+gibbs", "k-gibbs"),
        ("tweedie:noise=uniform,block=2", "block"),
        ("ddpd:block=1", "block"),
    ],
)
def test_bad_options_are_named(text: str, message: str) -> None:
    with pytest.raises(InvalidInput, match=message):
        decode(KnownLaw(SPARSE), parse(text), 4)


@pytest.mark.parametrize("text", ["tweedie:noise=uniform", "ddpd"])
def test_uniform_noise_needs_a_known_law(text: str) -> None:
    with pytest.raises(InvalidInput, match="known law"):
        decode(PlainPredictor(MADE_UP), parse(text), 2)


def test_score_decoders_under_mask_noise_are_masked_diffusion() -> None:
    model = KnownLaw(TERNARY)
    expected = decode(model, parse("masked-diffusion"), 3)
    for name in ("tweedie", "euler"):
        found = decode(model, parse(name), 3)
        np.testing.assert_allclose(found.law.table, expected.law.table, atol=1e-14)
        assert found.expected_calls == pytest.approx(expected.expected_calls)


def test_speculative_decoding_has_the_sequential_law() -> None:
    model = PlainPredictor(MADE_UP)
    expected = decode(model, parse("left-to-right"), 3).law.table
    for k in (1, 2, 3, 10):
        np.testing.assert_allclose(decode(model, parse(f"speculative:k={k}"), 1).law.table, expected, atol=1e-14)


def test_adaptive_parallel_between_parallel_and_sequential() -> None:
    network, model = NETWORKS["incompatible"]
    at_once = decode(model, parse("one-shot"), 1).law.table
    in_turn = decode(model, parse("left-to-right"), network.n).law.table
    np.testing.assert_allclose(decode(model, parse("adaptive-parallel:w=1"), 1).law.table, at_once, atol=1e-14)
    # Each token that is kept after the first is kept only where the sequential law draws it too: still a bias.
    strict = decode(model, parse("adaptive-parallel:w=0"), 1)
    np.testing.assert_allclose(decode(model, parse("adaptive-parallel:k=1"), 1).law.table, in_turn, atol=1e-14)
    assert np.abs(strict.law.table - in_turn).max() > 1e-3


@given(st.integers(0, 2**32 - 1), st.sampled_from(["cap", "rescale", "loop"]), st.floats(0, 1), st.integers(1, 6))
def test_independent_sites_survive_blind_remasking(seed: int, schedule: str, eta: float, steps: int) -> None:
    law = product_law(seed, 3, 2)
    rule = parse(f"remdm:schedule={schedule},eta={eta:.17g},tail=drawn")
    np.testing.assert_allclose(decode(KnownLaw(law), rule, steps).law.table, law.table, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.permutations(range(3)), st.sampled_from(RELABELLED))
def test_relabelling_sites_relabels_the_output(seed: int, order: list[int], text: str) -> None:
    law = random_law(seed, 3, 2)
    moved = JointLaw(law.table.transpose(order))
    output = decode(KnownLaw(law), parse(text), 2).law.table
    np.testing.assert_allclose(decode(KnownLaw(moved), parse(text), 2).law.table, output.transpose(order), atol=1e-12)
