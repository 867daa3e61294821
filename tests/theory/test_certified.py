"""Exact and ball arithmetic against slow, obvious computations, and the numbers that float64 got wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import combinations, product
from math import prod
from typing import Any

import numpy as np
import pytest
from flint import arb, ctx, fmpq, fmpq_poly
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.certified.arithmetic import Rows, at_most, every, exact, fraction, settle
from theory.certified.decoding import Marginals, correlations, divergence, most_confident, output_law, schedules
from theory.certified.definite import difference, positive_definite, positive_semidefinite
from theory.certified.entropy import (
    image,
    keeps_at_most,
    kept_fraction,
    masking_channel,
    relative_entropy,
    tensorization_upper_end,
)
from theory.certified.gaps import (
    Enclosure,
    Form,
    dirichlet_form,
    gap_enclosure,
    is_reversible,
    least_quotient,
)
from theory.certified.information import (
    at_most_as_informative,
    bounded_by_mixing,
    distinct_roots,
    information,
    pairwise_statistics,
)
from theory.certified.laws import (
    CertifiedLaw,
    block_gibbs,
    independent_parallel,
    ising,
    law_from_weights,
    ring,
    strong_clique,
    uniform_masks,
)
from theory.certified.logarithms import LogSum, coprime_base, logarithm, total
from theory.certified.mixing import leaving, mixing_time, set_flow, still_inside
from theory.conditionals import TableConditionals
from theory.decoding import Schedule, decoding_error
from theory.decoding import output_law as float_output_law
from theory.errors import InvalidInput
from theory.laws import JointLaw, curie_weiss
from theory.masks import k_uniform
from theory.samplers import SAMPLERS

LAW = law_from_weights(3, 2, [3, 1, 4, 1, 5, 9, 2, 6])
SPARSE = law_from_weights(2, 3, [3, 0, 4, 0, 5, 9, 2, 0, 5])


def floats(rows: list[list[fmpq]]) -> np.ndarray:
    return np.array([[float(Fraction(int(x.p), int(x.q))) for x in row] for row in rows])


def as_table(law: CertifiedLaw) -> np.ndarray:
    table = np.zeros((law.symbols,) * law.sites)
    for state, mass in zip(law.states, law.masses, strict=True):
        table[state] = int(mass.p) / int(mass.q)
    return table


def value(number: fmpq) -> float:
    return int(number.p) / int(number.q)


# The numbers that float64 got wrong.


def curie_weiss_weights(sites: int, beta: float) -> Callable[[], list[arb]]:
    """exp of (beta / N) sum_{i<j} x_i x_j by the number of ones, in balls."""
    return lambda: [(arb(beta) / (2 * sites) * ((2 * n - sites) ** 2 - sites)).exp() for n in range(sites + 1)]


def exchangeable_forms(weights: Sequence[Any], share: Any = 1) -> list[Form]:
    """The forms whose least quotient is the gap of single-site dynamics on p(x) = w(ones), one for each j <= N/2.

    Args:
        weights: w(0), ..., w(N): fractions or balls, > 0, not normalised.
        share: the chance that a step is taken at all, m / N for m sites among N.
    """
    sites = len(weights) - 1
    forms = []
    for pairs in range(sites // 2 + 1):
        free = sites - 2 * pairs
        # Multiplicities of a state (n ones among the free sites) are C(free, n), each pair has one one.
        mass, ways = [], fmpq(1)
        for n in range(free + 1):
            mass.append(ways * weights[n + pairs])
            ways = ways * (free - n) / (n + 1)
        energy: Rows = [[fmpq(0)] * (free + 1) for _ in mass]
        for n in range(free + 1):
            total = n + pairs  # ones of the state
            if n < free:
                rise = share * mass[n] * (free - n) / sites * _chance(weights, total)
                energy[n][n] += rise
                energy[n + 1][n + 1] += rise
                energy[n][n + 1] -= rise
                energy[n + 1][n] -= rise
            if pairs:
                # A pair's one turns 0, or its zero turns 1: f vanishes there.
                leave = (1 - _chance(weights, total - 1)) + _chance(weights, total)
                energy[n][n] += share * mass[n] * pairs * leave / sites
        whole = sum(mass, start=fmpq(0))
        states = range(free + 1)
        norm = [[mass[x] * (fmpq(x == y) - (0 if pairs else mass[y] / whole)) for y in states] for x in states]
        forms.append(Form(energy, norm, constants=pairs == 0))
    return forms


def _chance(weights: Sequence[Any], others: int) -> Any:
    """P(a site is 1 given that ``others`` of the other sites are)."""
    return weights[others + 1] / (weights[others] + weights[others + 1])


@pytest.mark.parametrize(
    ("beta", "gap"), [(6, "5.463e-14"), (7.5, "7.706e-18"), (8, "3.983e-19"), (9, "1.0557e-21"), (12, "1.874e-29")]
)
def test_curie_weiss_of_twelve_sites(beta: float, gap: str) -> None:
    weights = curie_weiss_weights(12, beta)
    found = least_quotient(lambda: exchangeable_forms(weights()))
    assert found is not None
    assert value(found.lower) == pytest.approx(float(gap), rel=1e-3)
    assert value(found.upper / found.lower) - 1 < 1e-9


def test_a_strong_clique_among_independent_sites() -> None:
    # The clique is an exchangeable law on 7 of 13 sites; the others have gap 1/13.
    coupling = fraction("1.6")
    weights = [((arb(coupling) * ((2 * n - 7) ** 2 - 7)) / 2).exp() for n in range(8)]
    found = least_quotient(lambda: exchangeable_forms(weights, fmpq(7, 13)))
    assert found is not None
    assert value(found.upper) == pytest.approx(9.680e-17, rel=1e-4)


def two_slow_modes() -> CertifiedLaw:
    weights = [1e-22] * 9
    weights[0] = weights[4] = weights[8] = 1 / 3
    weights[1] = 1e-17
    return law_from_weights(2, 3, weights)


def test_two_slow_modes_of_different_speed() -> None:
    found = gap_enclosure(two_slow_modes().balls, uniform_masks(2, 1))
    assert found is not None
    assert 2.2221e21 < value(1 / found.upper) <= value(1 / found.lower) < 2.2223e21
    upper = tensorization_upper_end(two_slow_modes(), uniform_masks(2, 1), found.lower)
    assert 2.22e21 < value(upper) <= 6.68e21


def test_constants_of_a_strong_clique() -> None:
    def law() -> CertifiedLaw:
        return ising(5, dict.fromkeys(combinations(range(5), 2), arb(3).exp()), [arb(1)] * 5)

    found = gap_enclosure(law, uniform_masks(5, 1))
    assert found is not None
    assert value(1 / found.upper) == pytest.approx(1.80e15, rel=3e-3)
    # e^3 as a fraction, to 30 digits: the upper end of C_AT is made of fractions.
    near = strong_clique(5, 5, exact(arb(3).exp().mid()), 1)
    assert value(tensorization_upper_end(near, uniform_masks(5, 1), found.lower)) == pytest.approx(2.16e16, rel=3e-3)


# Arithmetic.


def test_what_is_undecided_is_not_guessed() -> None:
    def same() -> bool | None:
        third = arb(1) / 3
        return True if third + third + third < 1 else False if third + third + third > 1 else None

    assert settle(same).truth is None
    assert (
        settle(lambda: at_most(arb(2).sqrt(), fraction("1.41421356237309504880168872420969807856967"))).truth is False
    )
    assert every([True, None]) is None
    assert every([None, False]) is False
    assert every([]) is True


def test_precision_rises_until_decided() -> None:
    tiny = fmpq(1, 10**100)
    found = settle(lambda: at_most((arb(1) + tiny).log(), arb(0)))
    assert found.truth is False
    assert found.bits > 128


@pytest.mark.parametrize("bad", ["one", float("nan"), float("inf"), "1/0", None])
def test_numbers_that_are_none(bad: object) -> None:
    with pytest.raises(InvalidInput, match="fraction"):
        fraction(bad)  # type: ignore[arg-type]


def test_floats_are_dyadic_fractions() -> None:
    assert fraction(0.1) == fmpq(3602879701896397, 36028797018963968)
    assert fraction("0.1") == fmpq(1, 10)


@pytest.mark.parametrize("weights", [[1, 2, 3], [1, -1, 1, 1], [1, 0, 0, 0]])
def test_weights_that_are_no_law(weights: list[int]) -> None:
    with pytest.raises(InvalidInput):
        law_from_weights(2, 2, weights)


whole = st.integers(-3, 3)


@given(st.lists(whole, min_size=9, max_size=9))
def test_semidefinite_by_all_principal_minors(entries: list[int]) -> None:
    rows = [[entries[3 * min(i, j) + max(i, j)] for j in range(3)] for i in range(3)]
    matrix = np.array(rows)
    chosen = [list(c) for size in (1, 2, 3) for c in combinations(range(3), size)]
    minors = [round(float(np.linalg.det(matrix[np.ix_(c, c)]))) for c in chosen]
    assert positive_semidefinite([[fmpq(x) for x in row] for row in rows]) == all(minor >= 0 for minor in minors)


@settings(max_examples=20)
@given(st.integers(0, 2**32 - 1), st.floats(-0.5, 0.5))
def test_definite_in_balls(seed: int, shift: float) -> None:
    half = np.random.default_rng(seed).normal(size=(15, 15))
    matrix = half @ half.T
    least = float(np.linalg.eigvalsh(matrix)[0])
    rows = (matrix + (shift - least) * np.eye(15)).tolist()
    balls = [[(arb(rows[i][j]) + arb(rows[j][i])) / 2 for j in range(15)] for i in range(15)]
    if abs(shift) > 1e-9:
        assert positive_definite(balls) is (shift > 0)


def test_a_singular_matrix_in_balls_is_undecided() -> None:
    third = arb(1) / 3
    assert positive_definite([[third, third], [third, third]]) is None


@given(st.lists(st.tuples(st.integers(1, 60), st.integers(-3, 3)), max_size=6))
def test_sums_of_logarithms(terms: list[tuple[int, int]]) -> None:
    found = total(logarithm(fmpq(number)) * fmpq(c, 7) for number, c in terms)
    product_ = prod((Fraction(number) ** c for number, c in terms), start=Fraction(1))
    assert found.is_zero() == (product_ == 1)
    assert float(found.ball()) == pytest.approx(np.log(float(product_)) / 7, abs=1e-12)


@given(st.lists(st.integers(1, 10**6), max_size=6))
def test_coprime_bases(numbers: list[int]) -> None:
    base = coprime_base(numbers)
    assert all(np.gcd(a, b) == 1 for a, b in combinations(base, 2))
    for number in numbers:
        for member in base:
            while number % member == 0:
                number //= member
        assert number == 1


def test_numbers_that_nobody_factors() -> None:
    first, second = 2**127 - 1, 2**89 - 1
    assert (logarithm(fmpq(first * second)) - logarithm(fmpq(first)) - logarithm(fmpq(second))).is_zero()
    assert LogSum().is_zero()
    assert not (logarithm(fmpq(first)) - logarithm(fmpq(first + 1))).is_zero()
    with pytest.raises(InvalidInput):
        logarithm(fmpq(0))


def test_distinct_roots() -> None:
    # (x - 1)^2 (x - 2) x
    polynomial = fmpq_poly([0, 1]) * fmpq_poly([-1, 1]) ** 2 * fmpq_poly([-2, 1])
    counts = [distinct_roots(polynomial, fmpq(a), fmpq(b)) for a, b in ((-1, 3), (0, 1), (0, 2), (1, 2), (2, 3))]
    assert counts == [3, 1, 2, 1, 0]


# Kernels, information, gaps.


@pytest.mark.parametrize("law", [LAW, SPARSE, ring(4, fmpq(8, 5), fmpq(11, 10))])
@pytest.mark.parametrize("size", [1, 2])
def test_kernels_against_the_float_ones(law: CertifiedLaw, size: int) -> None:
    table = JointLaw(as_table(law), "law")
    kept = np.flatnonzero(table.support)
    wanted = SAMPLERS["k-gibbs"]().build(TableConditionals(table), k_uniform(law.sites, size)).to_dense()
    kernel = block_gibbs(law, uniform_masks(law.sites, size))
    np.testing.assert_allclose(floats(kernel), wanted[np.ix_(kept, kept)], atol=1e-15)
    assert is_reversible(law, kernel)
    if law is not SPARSE:
        parallel = SAMPLERS["independent-parallel"]().build(TableConditionals(table), None).to_dense()
        np.testing.assert_allclose(floats(independent_parallel(law)), parallel, atol=1e-15)
    else:
        with pytest.raises(InvalidInput, match="every state"):
            independent_parallel(law)


def test_information_from_its_definition() -> None:
    masks = uniform_masks(3, 2)
    wanted = [[Fraction(0)] * 6 for _ in range(6)]
    masses = {s: Fraction(int(m.p), int(m.q)) for s, m in zip(LAW.states, LAW.masses, strict=True)}
    for mask, _ in masks:
        (kept,) = set(range(3)) - set(mask)
        for symbol in (0, 1):
            block = [s for s in LAW.states if s[kept] == symbol]
            mass = sum(masses[s] for s in block)
            means = [sum(masses[s] / mass * pairwise_statistics(s)[a] for s in block) for a in range(6)]
            for s, a, b in product(block, range(6), range(6)):
                t = pairwise_statistics(s)
                wanted[a][b] += masses[s] * (t[a] - means[a]) * (t[b] - means[b]) / 3
    found = information(LAW, pairwise_statistics, masks)
    assert [[Fraction(int(x.p), int(x.q)) for x in row] for row in found] == wanted


@settings(max_examples=10)
@given(st.lists(st.integers(1, 40), min_size=8, max_size=8), st.integers(1, 3))
def test_gaps_against_eigenvalues(weights: list[int], size: int) -> None:
    law = law_from_weights(3, 2, weights)
    kernel = block_gibbs(law, uniform_masks(3, size))
    found = gap_enclosure(law.balls, uniform_masks(3, size))
    assert found is not None
    roots = np.sqrt([value(mass) for mass in law.masses])
    symmetric = floats(kernel) * roots[:, None] / roots[None, :]
    exact_one = 1 - np.linalg.eigvalsh((symmetric + symmetric.T) / 2)[-2]
    assert value(found.lower) - 1e-12 <= exact_one <= value(found.upper) + 1e-12
    fisher = information(law, pairwise_statistics, uniform_masks(3, 3))
    masked = information(law, pairwise_statistics, uniform_masks(3, size))
    assert at_most_as_informative(masked, fisher)
    assert bounded_by_mixing(masked, fisher, kernel, found)


@settings(max_examples=8)
@given(st.lists(st.integers(1, 30), min_size=6, max_size=6), st.integers(3, 5))
def test_sectors_of_exchangeable_laws_against_all_states(weights: list[int], sites: int) -> None:
    chosen = [fmpq(w) for w in weights[: sites + 1]]
    law = law_from_weights(sites, 2, [chosen[sum(x)] for x in product((0, 1), repeat=sites)])
    whole_ = gap_enclosure(law.balls, uniform_masks(sites, 1))
    sectors = least_quotient(lambda: exchangeable_forms([arb(w) for w in chosen]))
    assert whole_ is not None
    assert sectors is not None
    assert max(whole_.lower, sectors.lower) <= min(whole_.upper, sectors.upper)


def test_a_reducible_chain_has_no_gap() -> None:
    law = law_from_weights(2, 2, [1, 0, 0, 1])
    assert gap_enclosure(law.balls, uniform_masks(2, 1), (128,)) is None


def test_a_bound_that_is_attained_is_decided() -> None:
    # With all sites but one masked the slowest function is a statistic, and the gap is no fraction.
    law, masks = ring(4, fmpq(8, 5), fmpq(11, 10)), uniform_masks(4, 3)
    kernel, found = block_gibbs(law, masks), gap_enclosure(law.balls, masks)
    assert found is not None
    masked, fisher = (information(law, pairwise_statistics, uniform_masks(4, k)) for k in (3, 4))
    assert not positive_semidefinite(difference(masked, fisher, found.upper))
    assert bounded_by_mixing(masked, fisher, kernel, found) is True
    wide = Enclosure(fmpq(1, 100), fmpq(1), 128)
    assert bounded_by_mixing(masked, fisher, kernel, wide) is None


# Entropy, times, decoding.


@pytest.mark.parametrize("seed", range(3))
def test_strong_data_processing_over_all_laws(seed: int) -> None:
    generator = np.random.default_rng(seed)
    law, masks = law_from_weights(2, 2, [30, 7, 9, 14]), uniform_masks(2, 1)
    channel, gap = masking_channel(law, masks), gap_enclosure(law.balls, masks)
    assert gap is not None
    r = generator.integers(1, 1000, size=4)
    laws = [[fmpq(int(x), int(r.sum())) for x in r], [fmpq(int(x == 2)) for x in range(4)]]
    with ctx.workprec(128):
        kept = [kept_fraction(other, channel, law.masses) for other in laws]
    upper = tensorization_upper_end(law, masks, gap.lower)
    assert keeps_at_most(channel, law.masses, 1 - 1 / upper, 1 - gap.lower) is True
    assert all(k <= 1 - 1 / upper for k in kept)
    # Less than a point mass keeps is refuted.
    least = exact(kept[1].lower()) * fraction("0.999")
    assert keeps_at_most(channel, law.masses, least, 1 - gap.lower) is False


def test_too_few_cells_prove_nothing() -> None:
    law, masks = law_from_weights(2, 2, [30, 7, 9, 14]), uniform_masks(2, 1)
    gap = gap_enclosure(law.balls, masks)
    assert gap is not None
    arguments = masking_channel(law, masks), law.masses, 1 - gap.lower * fraction("0.9"), 1 - gap.lower
    assert keeps_at_most(*arguments, cells=5) is None
    assert keeps_at_most(*arguments) is True


def test_divergences() -> None:
    with ctx.workprec(128):
        seen = image([fmpq(1, 2), fmpq(1, 2)], [[fmpq(1), fmpq(0)], [fmpq(1, 2), fmpq(1, 2)]])
        assert [float(x) for x in seen] == [0.75, 0.25]
        assert float(relative_entropy([fmpq(1), fmpq(0)], [fmpq(1, 4), fmpq(3, 4)])) == pytest.approx(np.log(4))


def power(kernel: list[list[fmpq]], steps: int) -> list[list[Fraction]]:
    rows = [[Fraction(int(x.p), int(x.q)) for x in row] for row in kernel]
    result = rows
    for _ in range(steps - 1):
        result = [[sum(a * rows[k][j] for k, a in enumerate(row)) for j in range(len(rows))] for row in result]
    return result


@pytest.mark.parametrize("epsilon", [fmpq(1, 4), fmpq(1, 100), fmpq(9, 10)])
@pytest.mark.parametrize("size", [1, 2])
def test_mixing_times_by_powers_of_fractions(epsilon: fmpq, size: int) -> None:
    kernel = block_gibbs(LAW, uniform_masks(3, size))
    target = [Fraction(int(m.p), int(m.q)) for m in LAW.masses]
    limit, steps = Fraction(int(epsilon.p), int(epsilon.q)), 1
    while max(sum(abs(a - b) for a, b in zip(row, target, strict=True)) for row in power(kernel, steps)) > 2 * limit:
        steps += 1
    found = mixing_time(LAW, kernel, epsilon)
    assert found is not None
    assert found.steps == steps
    assert found.before > epsilon
    assert found.after <= epsilon


def test_a_distance_that_float64_takes_for_a_quarter() -> None:
    # d(1) = 1/4 + 1e-20 on two states: not mixed after one step, whatever float64 says.
    for excess, steps in ((fmpq(1, 10**20), 2), (fmpq(-1, 10**20), 1)):
        away = fmpq(1, 4) - excess
        kernel = [[1 - away, away], [away, 1 - away]]
        found = mixing_time(law_from_weights(1, 2, [1, 1]), kernel, fmpq(1, 4))
        assert found is not None
        assert found.steps == steps
        assert max(abs(np.array(floats(kernel))[0] - 0.5)) == 0.25
    assert mixing_time(law_from_weights(1, 2, [1, 1]), [[fmpq(3, 4), fmpq(1, 4)], [fmpq(1, 4), fmpq(3, 4)]], fmpq(1, 4))


def test_leaving_and_staying() -> None:
    kernel = block_gibbs(LAW, uniform_masks(3, 1))
    inside = {0, 1, 2}
    assert set(leaving(kernel, inside)) == inside
    rows = floats(kernel)
    part = rows[np.ix_([0, 1, 2], [0, 1, 2])]
    np.testing.assert_allclose([value(v) for _, v in sorted(leaving(kernel, inside).items())], 1 - part.sum(axis=1))
    stayed = still_inside(kernel, inside, 5)
    np.testing.assert_allclose([float(v) for v in stayed], np.linalg.matrix_power(part, 5).sum(axis=1), rtol=1e-13)
    masses = np.array([value(m) for m in LAW.masses])[:3]
    assert value(set_flow(LAW, kernel, inside)) == pytest.approx(float(masses @ (1 - part.sum(axis=1)) / masses.sum()))


@pytest.mark.parametrize("law", [LAW, SPARSE])
def test_schedules_against_the_float_route(law: CertifiedLaw) -> None:
    marginals, table = Marginals(law), JointLaw(as_table(law), "law")
    found = list(schedules(range(law.sites)))
    assert len(found) == {2: 3, 3: 13}[law.sites]
    for schedule in found:
        q = output_law(marginals, schedule)
        wanted = float_output_law(TableConditionals(table), Schedule(law.sites, schedule))
        np.testing.assert_allclose([value(m) for m in q], wanted.probabilities[table.support], atol=1e-15)
        error = decoding_error(table, wanted)
        assert float(divergence(law, q).ball()) == pytest.approx(error, abs=1e-12)
        assert (divergence(law, q) - correlations(marginals, schedule)).is_zero()


def test_ties_of_confidence_are_exact() -> None:
    even = Marginals(law_from_weights(3, 2, [1] * 8))
    assert most_confident(even, (0, 0, 0), (), 2) == (0, 1)
    skewed = Marginals(law_from_weights(2, 2, [10**20, 10**20, 10**20 + 1, 10**20]))
    # P(x_0 = 1) and P(x_1 = 0) are the same sum of weights, above those of the other symbols by one part in 4e20.
    assert most_confident(skewed, (0, 0), (), 1) == (0,)


def test_the_dirichlet_form_is_that_of_the_definition() -> None:
    kernel = block_gibbs(LAW, uniform_masks(3, 1))
    form = dirichlet_form(LAW, kernel)
    f = np.random.default_rng(0).normal(size=8)
    p, rows = np.array([value(m) for m in LAW.masses]), floats(kernel)
    wanted = 0.5 * (p[:, None] * rows * (f[:, None] - f[None, :]) ** 2).sum()
    assert f @ floats(form.energy) @ f == pytest.approx(wanted)
    assert f @ floats(form.norm) @ f == pytest.approx(p @ f**2 - (p @ f) ** 2)


def test_balls_of_curie_weiss_are_those_of_the_library() -> None:
    weights = [float(w) for w in curie_weiss_weights(5, 0.7)()]
    table = np.array([weights[sum(x)] for x in product((0, 1), repeat=5)])
    np.testing.assert_allclose(table / table.sum(), curie_weiss(5, 0.7).probabilities, rtol=1e-13)
