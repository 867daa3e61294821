"""Every sampler is held to a literal, slow definition and to the laws that the table of samplers claims for it."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.law_examples import incompatible, permute_sites, random_law
from theory.chains import DenseOperator, communicating_classes, is_reversible
from theory.conditionals import ConditionalModel, TableConditionals, TemperedConditionals
from theory.errors import InvalidInput
from theory.laws import product_law
from theory.laws.joint import JointLaw
from theory.masks import Listed, MaskLaw, adaptive, bernoulli, k_uniform, partition, spans, uniform_ratio
from theory.samplers import (
    SAMPLERS,
    block_gibbs,
    confidence_remasking,
    independent_parallel,
    k_parallel,
    least_confident,
    mask_predict,
    metropolis_hastings,
    parse_sampler,
    systematic_scan,
)

EXACT = 1e-13


class Literal:
    """The definitions of mathematics.md, section 3, spelled out over states, contexts and tokens."""

    def __init__(self, model: ConditionalModel) -> None:
        self.model = model
        self.states = list(itertools.product(range(model.symbols), repeat=model.sites))

    def context(self, x: tuple[int, ...], mask: tuple[int, ...]) -> int:
        index = 0
        for site in range(self.model.sites):
            if site not in mask:
                index = index * self.model.symbols + x[site]
        return index

    def token(self, x: tuple[int, ...], mask: tuple[int, ...], site: int, symbol: int) -> float:
        return float(self.model.token_conditionals(mask)[list(mask).index(site), self.context(x, mask), symbol])

    def block(self, x: tuple[int, ...], y: tuple[int, ...], mask: tuple[int, ...]) -> float:
        """p(y_K | x_-K) from the joint table, or by the chain rule in ascending order."""
        if self.model.law is not None:
            table = self.model.law.table
            agreeing = [z for z in self.states if all(z[i] == x[i] for i in range(len(x)) if i not in mask)]
            total = sum(table[z] for z in agreeing)
            return float(table[y] / total) if total > 0 else 1 / len(agreeing)
        result, current = 1.0, list(x)
        for position, site in enumerate(mask):
            result *= self.token(tuple(current), mask[position:], site, y[site])
            current[site] = y[site]
        return result

    def product(self, x: tuple[int, ...], y: tuple[int, ...], mask: tuple[int, ...]) -> float:
        return float(np.prod([self.token(x, mask, site, y[site]) for site in mask]))

    def matrix(self, entry) -> np.ndarray:
        return np.array([[entry(x, y) for y in self.states] for x in self.states])

    def masked(self, law: MaskLaw, factor) -> np.ndarray:
        def entry(x, y):
            return sum(
                weight * factor(x, y, mask)
                for mask, weight in zip(law.masks, law.probabilities, strict=True)
                if all(x[i] == y[i] for i in range(len(x)) if i not in mask)
            )

        return self.matrix(entry)


MODELS = {
    "binary": lambda: TableConditionals(random_law(1)),
    "ternary": lambda: TableConditionals(random_law(2, sites=3, symbols=3)),
    "zeros": lambda: TableConditionals(random_law(3, sites=3, symbols=2, zeros=0.4)),
    "one site": lambda: TableConditionals(random_law(4, sites=1, symbols=3)),
    "incompatible": lambda: incompatible(3, 2),
    "tempered": lambda: TemperedConditionals(TableConditionals(random_law(5)), 0.5),
    "greedy": lambda: TemperedConditionals(TableConditionals(random_law(6)), 0.0),
}


def masks_for(sites: int) -> list[MaskLaw]:
    return [k_uniform(sites, size) for size in range(1, sites + 1)] + [
        bernoulli(sites, 0.4),
        uniform_ratio(sites),
        spans(sites, 1 + sites // 2),
        partition(sites, [range(0, 1), range(1, sites)] if sites > 1 else [range(1)]),
    ]


@pytest.mark.parametrize("model_name", MODELS)
def test_kernels_equal_their_literal_definition(model_name: str) -> None:
    model = MODELS[model_name]()
    literal = Literal(model)
    for law in masks_for(model.sites):
        if not isinstance(model, TemperedConditionals):  # blocks are tempered jointly, see the next test
            np.testing.assert_allclose(
                block_gibbs(model, law).to_dense(), literal.masked(law, literal.block), atol=EXACT
            )
        np.testing.assert_allclose(k_parallel(model, law).to_dense(), literal.masked(law, literal.product), atol=EXACT)
    everything = literal.matrix(
        lambda x, y: np.prod([literal.token(x, (site,), site, y[site]) for site in range(model.sites)])
    )
    np.testing.assert_allclose(independent_parallel(model).to_dense(), everything, atol=EXACT)


def test_tempered_block_gibbs_tempers_the_joint_block() -> None:
    law = random_law(7)
    hot = block_gibbs(TemperedConditionals(TableConditionals(law), 0.5), k_uniform(3, 3)).to_dense()
    squared = law.probabilities**2
    np.testing.assert_allclose(hot, np.tile(squared / squared.sum(), (8, 1)), atol=EXACT)


def test_systematic_scan_is_the_product_of_its_updates() -> None:
    model = TableConditionals(random_law(8))
    literal = Literal(model)
    blocks = [(1,), (0, 2), (1, 2)]
    expected = np.eye(8)
    for block in blocks:
        expected = expected @ literal.masked(Listed(3, (block,), np.ones(1), ""), literal.block)
    np.testing.assert_allclose(systematic_scan(model, blocks).to_dense(), expected, atol=EXACT)


@pytest.mark.parametrize("model_name", ["binary", "ternary", "zeros"])
@pytest.mark.parametrize("size", [1, 2, 3])
def test_metropolis_hastings_equals_its_literal_definition(model_name: str, size: int) -> None:
    model = MODELS[model_name]()
    assert model.law is not None
    literal, table, law = Literal(model), model.law.table, k_uniform(3, size)
    expected = np.zeros((model.law.states,) * 2)
    for a, x in enumerate(literal.states):
        for mask, weight in zip(law.masks, law.probabilities, strict=True):
            for b, y in enumerate(literal.states):
                if x == y or any(x[i] != y[i] for i in range(3) if i not in mask):
                    continue
                forward, backward = literal.product(x, y, mask), literal.product(y, x, mask)
                ratio = table[y] * backward / (table[x] * forward) if table[x] * forward > 0 else 1.0
                expected[a, b] += weight * forward * min(1.0, ratio)
        expected[a, a] = 1 - expected[a].sum()
    reached = model.law.support  # off the support the target ratio is 0/0, and any rule will do
    actual = metropolis_hastings(model, law).to_dense()
    np.testing.assert_allclose(actual[reached], expected[reached], atol=EXACT)


def test_confidence_remasking_masks_the_least_confident_tokens() -> None:
    model = TableConditionals(random_law(9))
    literal = Literal(model)
    law = k_uniform(3, 2)
    expected = np.zeros((8, 8))
    for a, x in enumerate(literal.states):
        confidence = [literal.token(x, (site,), site, x[site]) for site in range(3)]
        mask = tuple(sorted(np.argsort(confidence)[:2]))
        for b, y in enumerate(literal.states):
            if all(x[i] == y[i] for i in range(3) if i not in mask):
                expected[a, b] = literal.product(x, y, mask)
    np.testing.assert_allclose(confidence_remasking(model, law).to_dense(), expected, atol=EXACT)


def test_ties_of_confidence_are_shared_equally() -> None:
    uniform = TableConditionals(JointLaw(np.full((2, 2, 2), 1 / 8)))
    chosen = least_confident(uniform, k_uniform(3, 1))
    np.testing.assert_allclose(chosen.probabilities, 1 / 3)


def test_mask_predict_sharpens_even_a_product_law() -> None:
    """Of one site with masses (0.2, 0.8) and one fair coin, the site's rare symbol is remasked until it is gone."""
    law = JointLaw(np.outer([0.2, 0.8], [0.5, 0.5]))
    # Confidences: 0.2 or 0.8 for site 0, 0.5 for site 1, so a step redraws site 0 exactly when it holds the rare one.
    output = mask_predict(TableConditionals(law), [1, 1]).reshape(2, 2)
    np.testing.assert_allclose(output.sum(axis=1), [0.2**3, 1 - 0.2**3], atol=EXACT)
    np.testing.assert_allclose(output.sum(axis=0), 0.5, atol=EXACT)


def test_mask_predict_starts_from_the_product_of_marginals() -> None:
    law = random_law(10)
    marginals = [law.marginal((i,)) for i in range(3)]
    expected = np.einsum("a,b,c->abc", *marginals).reshape(-1)
    np.testing.assert_allclose(mask_predict(TableConditionals(law), []), expected, atol=EXACT)


laws = st.builds(
    random_law,
    st.integers(0, 10_000),
    sites=st.integers(2, 4),
    symbols=st.integers(2, 3),
    zeros=st.sampled_from([0.0, 0.0, 0.3]),
)


@pytest.mark.parametrize("name", [*SAMPLERS, "locally-balanced:balance=minimum"])
@given(law=laws, data=st.data())
def test_every_sampler_keeps_the_promises_of_the_table(name: str, law: JointLaw, data: st.DataObject) -> None:
    sampler = parse_sampler(name)
    size = data.draw(st.integers(1, law.sites), label="k")
    masks = k_uniform(law.sites, size)
    operator = sampler.build(TableConditionals(law), masks)
    matrix = operator.to_dense()
    p = law.probabilities

    assert (matrix >= 0).all()
    np.testing.assert_allclose(matrix.sum(axis=1), 1, atol=EXACT)
    if sampler.keeps_target:
        np.testing.assert_allclose(p @ matrix, p, atol=EXACT)
        assert operator.stationary is not None
    if sampler.reversible:
        flow = p[:, None] * matrix
        np.testing.assert_allclose(flow, flow.T, atol=EXACT)
        assert operator.reversible is True

    # Acting on functions and on laws agrees with the matrix, batched or not.
    generator = np.random.default_rng(0)
    functions, laws_ = generator.normal(size=(law.states, 2)), generator.random((2, law.states))
    np.testing.assert_allclose(operator.apply(functions), matrix @ functions, atol=1e-12)
    np.testing.assert_allclose(operator.apply(functions[:, 0]), matrix @ functions[:, 0], atol=1e-12)
    np.testing.assert_allclose(operator.propagate(laws_), laws_ @ matrix, atol=1e-12)
    np.testing.assert_allclose(operator.propagate(laws_[0]), laws_[0] @ matrix, atol=1e-12)


@pytest.mark.parametrize("name", [name for name, sampler in SAMPLERS.items() if sampler.uses_masks != "order"])
@given(law=laws, data=st.data())
def test_samplers_do_not_depend_on_the_numbering_of_the_sites(name: str, law: JointLaw, data: st.DataObject) -> None:
    order = data.draw(st.permutations(range(law.sites)), label="order")
    size = data.draw(st.integers(1, law.sites), label="k")
    masks = k_uniform(law.sites, size)
    plain = SAMPLERS[name]().build(TableConditionals(law), masks).to_dense()
    permuted = SAMPLERS[name]().build(TableConditionals(permute_sites(law, order)), masks).to_dense()
    renumber = np.arange(law.states).reshape(law.table.shape).transpose(order).reshape(-1)
    np.testing.assert_allclose(permuted, plain[np.ix_(renumber, renumber)], atol=1e-12)


@pytest.mark.parametrize("name", SAMPLERS)
def test_samplers_do_not_depend_on_the_names_of_the_symbols(name: str) -> None:
    law = random_law(11, sites=3, symbols=3)
    flipped = JointLaw(law.table[::-1, ::-1, ::-1])
    masks = k_uniform(3, 2)
    plain = SAMPLERS[name]().build(TableConditionals(law), masks).to_dense()
    renamed = SAMPLERS[name]().build(TableConditionals(flipped), masks).to_dense()
    np.testing.assert_allclose(renamed, plain[::-1, ::-1], atol=1e-12)


def test_independent_parallel_does_not_keep_a_law_with_dependent_sites() -> None:
    law = JointLaw(np.array([[0.45, 0.05], [0.05, 0.45]]))
    matrix = independent_parallel(TableConditionals(law)).to_dense()
    # Each site copies the other's old symbol with probability 0.9: from (0, 0) both stay with 0.81, and so on.
    np.testing.assert_allclose((law.probabilities @ matrix).reshape(2, 2), [[0.378, 0.122], [0.122, 0.378]])


def test_greedy_samplers_are_deterministic_maps() -> None:
    model = TemperedConditionals(TableConditionals(random_law(12)), 0.0)
    matrix = independent_parallel(model).to_dense()
    assert set(np.unique(matrix)) == {0.0, 1.0}


def test_adaptive_block_gibbs_is_reversible_and_the_unaware_one_is_not() -> None:
    law = random_law(13)
    masks = adaptive(3, 2, [(0,), (1, 2), (0, 2)], lambda x, mask: 1.0 + x[:, list(mask)].sum(axis=1))
    p = law.probabilities
    chain = block_gibbs(TableConditionals(law), masks)
    assert chain.reversible is True
    flow = p[:, None] * chain.to_dense()
    np.testing.assert_allclose(flow, flow.T, atol=EXACT)
    corrected = p[:, None] * metropolis_hastings(TableConditionals(law), masks).to_dense()
    np.testing.assert_allclose(corrected, corrected.T, atol=EXACT)
    unaware = k_parallel(TableConditionals(law), masks).to_dense()
    np.testing.assert_allclose(unaware.sum(axis=1), 1, atol=EXACT)
    assert np.abs(p @ unaware - p).max() > 1e-3


def test_metropolis_hastings_corrects_learned_conditionals_towards_a_named_law() -> None:
    law = random_law(14)
    matrix = metropolis_hastings(incompatible(3, 2), k_uniform(3, 2), target=law).to_dense()
    flow = law.probabilities[:, None] * matrix
    np.testing.assert_allclose(flow, flow.T, atol=EXACT)


def test_bad_input_names_the_argument() -> None:
    model = TableConditionals(random_law(15))
    with pytest.raises(InvalidInput, match="masks = over 4 sites"):
        block_gibbs(model, k_uniform(4, 1))
    with pytest.raises(InvalidInput, match=r"k = 4: .*1\.\.3"):
        k_uniform(3, 4)
    with pytest.raises(InvalidInput, match="target"):
        metropolis_hastings(incompatible(3, 2), k_uniform(3, 1))
    with pytest.raises(InvalidInput, match="target"):
        metropolis_hastings(model, k_uniform(3, 1), target=random_law(1, sites=2))
    with pytest.raises(InvalidInput, match="blocks"):
        systematic_scan(model, [])
    with pytest.raises(InvalidInput, match="sizes = 4"):
        mask_predict(model, [4])


@pytest.mark.parametrize("law", [random_law(1), product_law(np.array([[0.3, 0.7], [0.6, 0.4], [0.2, 0.8]]))])
def test_a_site_that_is_never_masked_keeps_the_classes_apart(law: JointLaw) -> None:
    """Block Gibbs says that all states are one class only where every site is redrawn sooner or later."""
    never = Listed(3, ((0,), (1,), (2,)), np.array([0.5, 0.5, 0.0]), "the last site stays")
    chain = block_gibbs(TableConditionals(law), never)
    assert not chain.one_class
    assert len(communicating_classes(chain).closed_members) == law.symbols
    always = Listed(3, ((0,), (1, 2)), np.array([0.5, 0.5]), "every site")
    assert block_gibbs(TableConditionals(law), always).one_class
    assert communicating_classes(DenseOperator(block_gibbs(TableConditionals(law), always).to_dense())).irreducible


def test_impossible_sequences_keep_the_classes_apart() -> None:
    """Two sites that always agree: redrawn one at a time, each is held by the other, though both are redrawn."""
    agreeing = TableConditionals(JointLaw.from_weights([[0.3, 0.0], [0.0, 0.7]]))
    alone = block_gibbs(agreeing, k_uniform(2, 1))
    assert not alone.one_class
    assert len(communicating_classes(alone).closed_members) == 2
    assert not block_gibbs(agreeing, k_uniform(2, 2)).one_class  # nothing leads to 01 and 10


def test_masks_of_at_most_one_site_are_single_the_empty_one_included() -> None:
    """k-parallel with masks of at most one token is Glauber dynamics, lazy where the mask is empty: p is kept."""
    law = random_law(1)
    conditionals = TableConditionals(law)
    lazy = Listed(3, ((), (0,), (1,), (2,)), np.full(4, 0.25), "one site or none")
    chain = k_parallel(conditionals, lazy)
    assert chain.reversible is True
    assert np.array_equal(chain.stationary, law.probabilities)
    glauber = k_parallel(conditionals, k_uniform(3, 1)).to_dense()
    assert chain.to_dense() == pytest.approx(0.25 * np.eye(law.states) + 0.75 * glauber)
    assert is_reversible(chain, law.probabilities)
    # One mask of two sites is enough for p to be lost, and nothing is claimed then.
    two = k_parallel(conditionals, Listed(3, ((), (0, 1), (2,)), np.full(3, 1 / 3), "two at once"))
    assert two.reversible is None
    assert two.stationary is None
