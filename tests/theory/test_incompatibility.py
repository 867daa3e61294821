"""The rectangle test is zero exactly where a joint law exists, and its consequences follow."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory import incompatibility
from theory.chains import DenseOperator, stationary_law
from theory.conditionals import FunctionConditionals, TableConditionals
from theory.errors import InvalidInput
from theory.incompatibility import decoding_order_gap, rectangle_test, scan_order_gap, scan_order_laws
from theory.laws import JointLaw, product_law, random_law, sparse_random_law
from theory.samplers import systematic_scan


def single_site(tables: dict[int, np.ndarray], sites: int, symbols: int) -> FunctionConditionals:
    """Conditionals from log-weights per site, [q, ..., q] with the site's own symbol on its own axis."""

    def predict(tokens: np.ndarray) -> np.ndarray:
        result = np.full((len(tokens), sites, symbols), 1 / symbols)
        for row, sequence in enumerate(tokens):
            for site in range(sites):
                others = [int(t) for i, t in enumerate(sequence) if i != site]
                if symbols in others:
                    continue
                index: list[object] = [int(t) for t in sequence]
                index[site] = slice(None)
                weights = np.exp(tables[site][tuple(index)])
                result[row, site] = weights / weights.sum()
        return result

    return FunctionConditionals(sites, symbols, predict)


def literal(model: FunctionConditionals | TableConditionals) -> list[float]:
    """|rho| of every rectangle from the definition, state by state."""
    n, q = model.sites, model.symbols
    laws = model.leave_one_out()
    states = {x: index for index, x in enumerate(itertools.product(range(q), repeat=n))}

    def odds(x: tuple[int, ...], site: int, new: int) -> float:
        law = laws[states[x], site]
        return float(np.log(law[new]) - np.log(law[x[site]]))

    def put(x: tuple[int, ...], site: int, new: int) -> tuple[int, ...]:
        return (*x[:site], new, *x[site + 1 :])

    found = []
    for i, j in itertools.combinations(range(n), 2):
        for x in states:
            for a, b in itertools.product(range(x[i] + 1, q), range(x[j] + 1, q)):
                x1, x2, x3 = put(x, i, a), put(put(x, i, a), j, b), put(x, j, b)
                found.append(abs(odds(x, i, a) + odds(x1, j, b) + odds(x2, i, x[i]) + odds(x3, j, x[j])))
    return found


@given(st.integers(0, 1000), st.sampled_from([(2, 2), (3, 2), (2, 3), (4, 2), (3, 3)]))
def test_conditionals_of_a_joint_law_pass(seed: int, size: tuple[int, int]) -> None:
    model = TableConditionals(random_law(*size, np.random.default_rng(seed)))
    test = rectangle_test(model)
    assert test.maximum < 1e-10
    assert test.skipped == 0
    pairs = size[0] * (size[0] - 1) // 2
    assert test.rectangles == pairs * (size[1] * (size[1] - 1) // 2) ** 2 * size[1] ** (size[0] - 2)
    assert decoding_order_gap(model, (0, size[0] - 1)).max() < 1e-12


@given(st.integers(0, 1000), st.sampled_from([(2, 2), (3, 2), (2, 3), (3, 3)]))
def test_random_conditionals_agree_with_the_definition(seed: int, size: tuple[int, int]) -> None:
    generator = np.random.default_rng(seed)
    tables = {site: generator.normal(size=(size[1],) * size[0]) for site in range(size[0])}
    model = single_site(tables, *size)
    values = literal(model)
    test = rectangle_test(model)
    assert test.maximum == pytest.approx(max(values), rel=1e-10)
    assert test.mean == pytest.approx(np.mean(values), rel=1e-10)
    uniform = np.full(size[1] ** size[0], 1 / size[1] ** size[0])
    assert rectangle_test(model, uniform).mean == pytest.approx(test.mean, rel=1e-10)


def test_planted_incompatible_pair_has_its_known_value() -> None:
    """p(x_0 | x_1) from coupling J and p(x_1 | x_0) from coupling J + delta: rho = 4 J - 4 (J + delta) = -4 delta."""
    coupling, delta = 0.7, 0.3
    product = np.array([[1.0, -1.0], [-1.0, 1.0]])
    model = single_site({0: coupling * product, 1: (coupling + delta) * product}, 2, 2)
    test = rectangle_test(model)
    assert test.rectangles == 1
    assert test.sites == (0, 1)
    assert test.maximum == pytest.approx(4 * delta, rel=1e-12)
    # Scans that end with x_1 (order 0, 1) leave the pair at p(x_1 | x_0): the two orders differ, by a known amount.
    laws = scan_order_laws(model, [(0, 1), (1, 0)])
    aligned = [1 / (1 + np.exp(-2 * (coupling + delta))), 1 / (1 + np.exp(-2 * coupling))]
    np.testing.assert_allclose(laws[:, [0, 3]].sum(axis=1), aligned, rtol=1e-12)
    assert scan_order_gap(laws) == pytest.approx(aligned[0] - aligned[1], rel=1e-10)


def test_decoding_order_gap_by_hand() -> None:
    """Both first tokens are fair coins; given the other, x_0 copies with probability 0.9 and x_1 with 0.6."""

    def predict(tokens: np.ndarray) -> np.ndarray:
        result = np.full((len(tokens), 2, 2), 0.5)
        for row, (x, y) in enumerate(tokens):
            if y < 2:
                result[row, 0, y], result[row, 0, 1 - y] = 0.9, 0.1
            if x < 2:
                result[row, 1, x], result[row, 1, 1 - x] = 0.6, 0.4
        return result

    gap = decoding_order_gap(FunctionConditionals(2, 2, predict), (0, 1))
    np.testing.assert_allclose(gap, [0.3], rtol=1e-12)


@given(st.integers(0, 1000))
def test_weights_concentrate_the_mean(seed: int) -> None:
    """With all mass on one state only the rectangles that touch it count."""
    generator = np.random.default_rng(seed)
    model = single_site({site: generator.normal(size=(2, 2, 2)) for site in range(3)}, 3, 2)
    weights = np.zeros(8)
    weights[0] = 1.0
    laws = np.log(model.leave_one_out())

    def around(i: int, j: int) -> float:
        e = [4, 2, 1]
        a, b = e[i], e[j]
        rho = laws[0, i, 1] - laws[0, i, 0] + laws[a, j, 1] - laws[a, j, 0]
        return abs(rho + laws[b, i, 0] - laws[b, i, 1] + laws[0, j, 0] - laws[0, j, 1])

    expected = np.mean([around(0, 1), around(0, 2), around(1, 2)])
    assert rectangle_test(model, weights).mean == pytest.approx(expected, rel=1e-10)


def test_scan_orders_agree_for_a_joint_law() -> None:
    law = random_law(3, 2, np.random.default_rng(1))
    orders = list(itertools.permutations(range(3)))
    without_law = FunctionConditionals(3, 2, _lookup(law))
    laws = scan_order_laws(without_law, orders)
    np.testing.assert_allclose(laws, np.broadcast_to(law.probabilities, laws.shape), atol=1e-13)
    assert scan_order_gap(laws[:1]) == 0.0


def _lookup(law: JointLaw):
    exact = TableConditionals(law)

    def predict(tokens: np.ndarray) -> np.ndarray:
        masked = tuple(int(i) for i in np.flatnonzero(tokens[0] == law.symbols))
        result = np.full((len(tokens), law.sites, law.symbols), 1 / law.symbols)
        result[:, list(masked)] = exact.token_conditionals(masked).transpose(1, 0, 2)
        return result

    return predict


def test_zeros_are_left_out_and_counted() -> None:
    law = sparse_random_law(3, 2, np.random.default_rng(3), 7)
    test = rectangle_test(TableConditionals(law))
    assert test.skipped == 3  # the one missing state lies on three rectangles
    assert test.rectangles == 3
    assert test.maximum < 1e-12
    deterministic = product_law(np.array([[1.0, 0.0], [1.0, 0.0]]))
    with pytest.raises(InvalidInput, match="some rectangle"):
        rectangle_test(TableConditionals(deterministic))


def test_bad_input_is_named() -> None:
    model = TableConditionals(random_law(3, 2, np.random.default_rng(0)))
    with pytest.raises(InvalidInput, match="sites = 1"):
        rectangle_test(TableConditionals(JointLaw([0.5, 0.5])))
    with pytest.raises(InvalidInput, match="weights"):
        rectangle_test(model, np.ones(4))
    with pytest.raises(InvalidInput, match="pair"):
        decoding_order_gap(model, (1, 1))
    with pytest.raises(InvalidInput, match="orders"):
        scan_order_laws(model, [(0, 1)])


def test_iterated_scan_laws_are_those_of_the_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the laws of rotated orders, which are taken from one another, are those of their own scans."""
    model = FunctionConditionals(3, 3, incompatible_predictions)
    orders = list(itertools.permutations(range(3)))
    dense = scan_order_laws(model, orders)
    own = np.array(
        [stationary_law(DenseOperator(systematic_scan(model, [(i,) for i in o]).to_dense())).law for o in orders]
    )
    np.testing.assert_allclose(dense, own, atol=1e-13)
    monkeypatch.setattr(incompatibility, "DENSE_STATES", 0)
    np.testing.assert_allclose(scan_order_laws(model, orders), dense, atol=1e-11)


def incompatible_predictions(tokens: np.ndarray) -> np.ndarray:
    weights = np.random.default_rng(3).normal(size=(4, 3, 3, 3))
    masses = np.exp(weights[tokens, np.arange(3)].sum(axis=1))
    return np.asarray(masses / masses.sum(axis=2, keepdims=True))
