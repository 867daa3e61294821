"""Sums over the paths of rules with drawn candidates, against enumerated output laws."""

from __future__ import annotations

from itertools import combinations, product

import numpy as np
import pytest

from tests.theory.test_laws_length import LAWS
from theory.decoding.candidate_paths import _kept_sets, has_luck, keeps_candidates, path_sums
from theory.decoding.enumeration import decode
from theory.decoding.known_sequence import KnownSequence
from theory.decoding.registry import parse
from theory.decoding.rule import Setting
from theory.decoding.tables import KnownLaw
from theory.divergences import kullback_leibler
from theory.errors import InvalidInput
from theory.states import all_sequences


@pytest.mark.parametrize(
    ("text", "calls"),
    [
        ("llada", 5),
        ("llada", 2),
        ("llada:temperature=0.7", 3),
        ("llada:block=2", 3),
        ("llada:top_p=0.8", 3),
        ("maskgit", 3),
        ("dream:temperature=0.8", 3),
        ("threshold:candidates=drawn,theta=0.5", 5),
    ],
)
@pytest.mark.parametrize("name", ["order 1 with zeros", "hidden Markov"])
def test_subset_sums_are_the_enumerated_law(name: str, text: str, calls: int) -> None:
    law, table = LAWS[name]()
    rule, known = parse(text), KnownSequence(law)
    setting = Setting.of(known, calls)
    if text.startswith("threshold"):
        with pytest.raises(InvalidInput, match="keeps a set number"):
            path_sums(known, rule, setting, 2, np.random.default_rng(0))
        return
    assert keeps_candidates(rule, setting)
    # Contexts of probability zero have no conditionals; tables and laws at length fill them differently.
    possible = all_sequences(table.sites, table.symbols)[table.support]
    found = path_sums(known, rule, setting, possible, np.random.default_rng(0))
    assert found.exact
    expected = decode(KnownLaw(table), rule, calls).law.probabilities[table.support]
    np.testing.assert_allclose(np.exp(found.log_probability), expected, atol=1e-14)


def test_kept_sets_by_listing_all_candidates() -> None:
    # Ties everywhere: keys from a grid of three values.
    generator = np.random.default_rng(1)
    from theory.decoding.candidate_kernels import beats, draw_kept

    sites, q = 5, 3
    for _ in range(20):
        laws = generator.dirichlet(np.ones(q), size=(1, sites))
        keys = generator.integers(3, size=(1, sites, q)).astype(float)
        x = generator.integers(q, size=sites)
        hidden = np.ones((1, sites), dtype=bool)
        hidden[0, generator.integers(sites)] = False
        own = keys[0, np.arange(sites), x][None]
        chance = laws[0, np.arange(sites), x][None]
        below = np.zeros((1, sites, sites))
        rank = generator.permutation(sites)[None]
        beats(hidden, own, keys, laws, rank, below)
        for count in (1, 2, 4):
            expected: dict[int, float] = {}
            free = np.flatnonzero(hidden[0])
            for drawn in product(range(q), repeat=4):
                order = sorted(range(4), key=lambda k: (-keys[0, free[k], drawn[k]], rank[0, free[k]]))
                kept = [int(free[k]) for k in order[:count]]
                if all(drawn[k] == x[free[k]] for k in order[:count]):
                    mask = sum(1 << site for site in kept)
                    chances = [laws[0, free[k], drawn[k]] for k in range(4)]
                    expected[mask] = expected.get(mask, 0.0) + float(np.prod(chances))
            found = dict(_kept_sets(hidden[0], own[0], chance[0], below[0], rank[0], count))
            assert len(found) == len(list(combinations(free, count)))
            for mask, probability in found.items():
                assert probability == pytest.approx(expected.get(mask, 0.0), abs=1e-15)
            total = sum(expected.values())
            if total == 0:
                continue
            # The polynomial gives the sum, and draws in proportion: 5 standard errors, 2,000 draws.
            rows = 2000
            logs, chosen = np.empty(rows), np.empty((rows, sites), dtype=bool)
            spread = [np.repeat(values, rows, axis=0) for values in (hidden, own, chance, below, rank)]
            draw_kept(*spread, np.full(rows, count), generator.random((rows, sites + 1)), logs, chosen)
            np.testing.assert_allclose(np.exp(logs), total, atol=1e-15)
            masks = chosen @ (1 << np.arange(sites))
            for mask, probability in expected.items():
                share = probability / total
                assert abs((masks == mask).mean() - share) <= 5 * np.sqrt(share * (1 - share) / rows) + 1e-9


@pytest.mark.parametrize("text", ["llada", "llada:ties=random", "maskgit:tau=1", "dream:alg_temp=0.4"])
@pytest.mark.parametrize("widest", [2, 12])
def test_weighted_paths_are_unbiased_and_bound_both_divergences(
    text: str, widest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import theory.decoding.candidate_paths as module

    monkeypatch.setattr(module, "WIDEST", widest)
    law, table = LAWS["order 1"]()
    rule, known = parse(text), KnownSequence(law)
    setting = Setting.of(known, 3)
    assert keeps_candidates(rule, setting)
    assert has_luck(rule, setting) == (text != "llada")
    if widest == 12 and text == "llada":
        return  # exact: see above
    # The compiled sum over sets in wide windows is cheap; the sum over subsets of narrow ones is not.
    rows = 2000 if widest == 2 else 150
    output = decode(KnownLaw(table), rule, 3).law.probabilities
    x = all_sequences(6, 3)[[3, 77, 500]]
    repeated = np.repeat(x, rows, axis=0)
    found = path_sums(known, rule, setting, repeated, np.random.default_rng(2), paths=1)
    assert not found.exact
    estimates = np.exp(found.log_probability).reshape(3, rows)
    expected = output[np.ravel_multi_index(tuple(x.T), (3,) * 6)]
    # Five standard errors for three numbers: a false alarm in fewer than 1e-5 of the seeds.
    error = 5 * estimates.std(axis=1) / np.sqrt(rows)
    assert (np.abs(estimates.mean(axis=1) - expected) <= error).all()
    kl = kullback_leibler(table.probabilities, output)
    reverse = kullback_leibler(output, table.probabilities)
    truths = table.sample(rows, np.random.default_rng(3))
    for paths, slack in ((1, 1.0), (16, 0.2)) if widest == 2 else ((2, 0.3),):
        forward = path_sums(known, rule, setting, truths, np.random.default_rng(4), paths)
        gap = law.log_probability(truths) - forward.log_probability
        assert kl - 5 * gap.std() / np.sqrt(rows) <= gap.mean() <= kl + slack + 5 * gap.std() / np.sqrt(rows)
        backward = path_sums(known, rule, setting, rows, np.random.default_rng(5), paths)
        gap = backward.log_probability - law.log_probability(backward.sequences)
        error = 5 * gap.std() / np.sqrt(rows)
        assert reverse - error <= gap.mean() <= reverse + slack + error
        # The inverse of the mean over paths, that of the generating one among them, has the mean 1/q(x); here under q.
        places = np.ravel_multi_index(tuple(backward.sequences.T), (3,) * 6)
        ratio = output[places] / np.exp(backward.log_probability)
        assert abs(ratio.mean() - 1) <= 5 * ratio.std() / np.sqrt(rows)
