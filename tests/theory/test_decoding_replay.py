"""Replay against enumerated output laws: every sequence, every rule that can be replayed."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import rel_entr

from tests.theory.test_laws_length import LAWS
from theory.decoding.enumeration import decode
from theory.decoding.known_sequence import KnownSequence, exact_divergence
from theory.decoding.registry import RULES, parse
from theory.decoding.replay import can_replay, has_one_path, replay
from theory.decoding.rule import Setting
from theory.decoding.tables import KnownLaw
from theory.divergences import kullback_leibler
from theory.errors import InvalidInput
from theory.laws import JointLaw, random_law
from theory.laws.length import MarkovLaw
from theory.states import all_sequences

ONE_PATH = [
    "one-shot",
    "left-to-right",
    "strided",
    "dyadic",
    "optimal",
    "confidence",
    "confidence:temperature=0.7",
    "confidence:top_p=0.8",
    "entropy:sizes=cosine",
    "margin:block=3",
    "threshold:theta=0.6",
    "factor:f=1.2",
    "entropy-bound:gamma=0.4",
    "entropy-bound:gamma=0.4,block=2",
    "left-to-right:temperature=1.5",
    "klass:theta=0.6,kappa=0.3,h=1",
    "klass:theta=0.5,kappa=0.5,temperature=0.8",
    "klass:theta=0.5,kappa=0.5,h=1,block=3",
]


def chain() -> tuple[MarkovLaw, JointLaw]:
    law, table = LAWS["order 1"]()
    assert isinstance(law, MarkovLaw)
    return law, table


@pytest.mark.parametrize("text", ONE_PATH)
def test_replay_is_the_enumerated_law(text: str) -> None:
    law, table = chain()
    rule, known = parse(text), KnownSequence(law)
    calls = 4 if text.startswith("klass") else 2
    setting = Setting.of(known, calls)
    assert has_one_path(rule, setting)
    sequences = all_sequences(6, 3)
    result = replay(known, rule, setting, sequences, np.random.default_rng(0), truth=law)
    output = decode(KnownLaw(table), rule, calls)
    np.testing.assert_allclose(np.exp(result.log_probability), output.law.probabilities, atol=1e-15, rtol=1e-11)
    assert result.calls @ output.law.probabilities == pytest.approx(output.expected_calls, abs=1e-12)
    assert result.divergence is not None
    missed = output.law.probabilities == 0
    if not missed.any():
        assert table.probabilities @ result.divergence == pytest.approx(
            kullback_leibler(table.probabilities, output.law.probabilities), abs=1e-12
        )
    exact = exact_divergence(known, rule, calls)
    if exact is not None:
        assert exact[0] == pytest.approx(table.probabilities @ result.divergence, abs=1e-12)


@pytest.mark.parametrize("name", ["order 1", "order 1 with zeros", "order 2", "hidden Markov", "tree", "mixture"])
@pytest.mark.parametrize("text", ["confidence", "left-to-right", "entropy-bound:gamma=0.3"])
def test_shares_of_the_steps_have_the_mean_that_they_should(name: str, text: str) -> None:
    law, table = LAWS[name]()
    rule, known = parse(text), KnownSequence(law)
    sequences = all_sequences(table.sites, table.symbols)[table.support]
    masses = table.probabilities[table.support]
    result = replay(known, rule, Setting.of(known, 2), sequences, np.random.default_rng(0), truth=law)
    assert result.divergence is not None
    kl = masses @ (np.log(masses) - result.log_probability)
    assert masses @ result.divergence == pytest.approx(kl, abs=1e-11)
    assert masses @ (law.log_probability(sequences) - result.log_probability) == pytest.approx(kl, abs=1e-11)


@pytest.mark.parametrize("forward", [True, False])
@pytest.mark.parametrize("name", ["order 1", "order 1 with zeros"])
def test_the_share_of_a_step_by_enumeration(name: str, forward: bool) -> None:
    law, table = LAWS[name]()
    generator = np.random.default_rng(3)
    sites, q = table.sites, table.symbols
    full = all_sequences(sites, q)
    for _ in range(40):
        x = full[generator.choice(len(full), p=table.probabilities)]
        state = generator.integers(3, size=sites)
        chosen = (state == 0)[None]
        before = np.where(state == 2, x, q)[None]
        w = generator.dirichlet(np.ones(q), size=int(chosen.sum()))
        block = np.flatnonzero(chosen[0])
        agrees = (full[:, state == 2] == x[state == 2]).all(axis=1)
        number = (
            np.ravel_multi_index(tuple(full[:, block].T), (q,) * len(block)) if len(block) else np.zeros(len(full), int)
        )
        joint = np.bincount(number[agrees], table.probabilities[agrees], minlength=q ** len(block))
        joint /= joint.sum()
        apart = np.ones(1)
        for factor in w:
            apart = np.multiply.outer(apart, factor).reshape(-1)
        expected = rel_entr(joint, apart).sum() if forward else rel_entr(apart, joint).sum()
        measured = law.block_divergence(before, before, chosen, w, forward)[0]
        assert measured == pytest.approx(expected, abs=1e-12)


def test_reverse_divergence_of_drawn_sequences() -> None:
    law, table = chain()
    known = KnownSequence(law)
    for text in ("confidence", "left-to-right:temperature=1.5", "random-order"):
        rule = parse(text)
        result = replay(known, rule, Setting.of(known, 2), 20_000, np.random.default_rng(4), truth=law)
        assert result.divergence is not None
        output = decode(KnownLaw(table), rule, 2).law
        drawn = np.bincount(np.ravel_multi_index(tuple(result.sequences.T), (3,) * 6), minlength=3**6)
        # Five standard errors on each of 729 states and on the mean: a false alarm in fewer than 1e-3 of the seeds.
        assert (
            np.abs(drawn / 20_000 - output.probabilities) <= 5 * np.sqrt(output.probabilities / 20_000) + 1e-4
        ).all()
        exact = kullback_leibler(output.probabilities, table.probabilities)
        error = 5 * result.divergence.std() / np.sqrt(20_000)
        if has_one_path(rule, Setting.of(known, 2)):
            assert abs(result.divergence.mean() - exact) <= error
        else:
            assert result.divergence.mean() >= exact - error


def test_random_orders_are_bounded_from_above() -> None:
    law, table = chain()
    known, rule = KnownSequence(law), parse("random-order")
    setting = Setting.of(known, 2)
    assert can_replay(rule)
    assert not has_one_path(rule, setting)
    mixture = kullback_leibler(table.probabilities, decode(KnownLaw(table), rule, 2).law.probabilities)
    bound, exact = exact_divergence(known, rule, 2) or (0.0, True)
    assert not exact
    assert bound > mixture + 1e-4
    x = table.sample(4000, np.random.default_rng(5))
    result = replay(known, rule, setting, x, np.random.default_rng(6), truth=law)
    assert result.divergence is not None
    assert abs(result.divergence.mean() - bound) <= 5 * result.divergence.std() / np.sqrt(4000)


@pytest.mark.parametrize("text", ["tweedie", "tau-leaping:tail=drawn", "klass:theta=0.5,kappa=0.5,h=1,ties=random"])
def test_paths_of_other_rules_have_the_mean_of_the_law(text: str) -> None:
    law, table = chain()
    known, rule = KnownSequence(law), parse(text)
    setting = Setting.of(known, 3)
    assert can_replay(rule)
    assert not has_one_path(rule, setting)
    q = decode(KnownLaw(table), rule, 3).law.probabilities
    x = np.tile(all_sequences(6, 3)[np.argsort(-q)[:20]], (400, 1))
    result = replay(known, rule, setting, x, np.random.default_rng(1), truth=law)
    products = np.exp(result.log_probability).reshape(400, 20)
    # Five standard errors for twenty numbers: a false alarm in fewer than 2e-5 of the seeds.
    assert (np.abs(products.mean(axis=0) - np.sort(q)[::-1][:20]) <= 5 * products.std(axis=0) / 20 + 1e-12).all()
    drawn = replay(known, rule, setting, 4000, np.random.default_rng(2), truth=law)
    assert drawn.divergence is not None
    bound = 5 * drawn.divergence.std() / np.sqrt(4000)
    assert drawn.divergence.mean() >= kullback_leibler(q, table.probabilities) - bound


def test_what_only_samples_know_cannot_be_replayed() -> None:
    for text in ("tweedie:noise=uniform", "tau-leaping", "remdm", "adaptive-parallel", "ddpd", "edit"):
        assert not can_replay(parse(text))


def test_a_network_is_replayed_without_a_truth() -> None:
    # Conditionals of no joint law: replay and enumeration agree on them too.
    first, second = random_law(4, 2, np.random.default_rng(7)), random_law(4, 2, np.random.default_rng(8))

    class Patchwork:
        sites, symbols = 4, 2
        one, two = KnownLaw(first), KnownLaw(second)

        def predict(self, tokens: np.ndarray) -> np.ndarray:
            odd = ((tokens == 2).sum(axis=1) % 2 == 1)[:, None, None]
            return np.where(odd, self.one.predict(tokens), self.two.predict(tokens))

    for text in ("confidence", "entropy-bound:gamma=0.2", "threshold:theta=0.7"):
        rule = parse(text)
        setting = Setting.of(Patchwork(), 3)
        result = replay(Patchwork(), rule, setting, all_sequences(4, 2), np.random.default_rng(0))
        assert result.divergence is None
        expected = decode(Patchwork(), rule, 3).law.probabilities
        np.testing.assert_allclose(np.exp(result.log_probability), expected, atol=1e-14)


def test_rules_that_look_at_drawn_tokens_are_refused() -> None:
    law, _ = chain()
    known = KnownSequence(law)
    rule = parse("threshold:candidates=drawn")
    with pytest.raises(InvalidInput, match="no replay"):
        replay(known, rule, Setting.of(known, 3), 2, np.random.default_rng(0))


@pytest.mark.parametrize("name", sorted(RULES))
def test_one_token_a_call_is_exact_where_replay_is_possible(name: str) -> None:
    law, _ = chain()
    known, rule = KnownSequence(law), parse(name)
    setting = Setting.of(known, 6)
    if not has_one_path(rule, setting) or not rule.reads_calls:
        pytest.skip("not a rule of T calls with one path")
    x = law.sample(50, np.random.default_rng(9))
    result = replay(known, rule, setting, x, np.random.default_rng(0), truth=law)
    np.testing.assert_allclose(result.log_probability, law.log_probability(x), atol=1e-12)
    assert result.divergence is not None
    np.testing.assert_allclose(result.divergence, 0.0, atol=1e-12)
