"""The adapter and its windows: networks of any kind give one and the same conditionals, each mask computed once."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from simulators.masked_lm import Alphabet, MaskedLM, WindowConditionals
from tests.masked_lm_examples import joint_network
from theory.conditionals import FunctionConditionals, TableConditionals
from theory.errors import InvalidInput
from theory.laws import JointLaw

SITES, SYMBOLS = 3, 3


def law() -> JointLaw:
    return JointLaw.from_weights(np.random.default_rng(0).random((SYMBOLS,) * SITES) + 0.1)


def logits(tokens: NDArray[np.int64], width: int = SYMBOLS) -> NDArray[np.float64]:
    """Any function of a row: a sum of what its tokens say to each place."""
    weights = np.random.default_rng(1).normal(size=(20, tokens.shape[1], tokens.shape[1], width))
    places = np.arange(tokens.shape[1])
    return np.asarray(weights[tokens, places].sum(axis=1))


def every_mask(model: WindowConditionals) -> list[NDArray[np.float64]]:
    return [
        model.token_conditionals(mask)
        for size in range(1, model.sites + 1)
        for mask in combinations(range(model.sites), size)
    ]


def test_a_network_made_from_a_law_gives_the_conditionals_of_the_law() -> None:
    network = MaskedLM(joint_network(law()), mask=SYMBOLS, output="probabilities")
    model = network.window([SYMBOLS] * SITES, range(SITES))
    for size in (1, 2, 3):
        for mask in combinations(range(SITES), size):
            np.testing.assert_allclose(
                model.token_conditionals(mask), TableConditionals(law()).token_conditionals(mask), atol=1e-14
            )
    assert model.rows == model.rows_asked == 4**3 - 3**3


def test_numpy_jax_and_torch_and_mask_columns_are_one_network() -> None:
    jnp = pytest.importorskip("jax.numpy")
    torch = pytest.importorskip("torch")

    def probabilities(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        masses = np.exp(logits(tokens))
        return np.asarray(masses / masses.sum(axis=2, keepdims=True))

    def with_mask(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        return np.concatenate([logits(tokens), np.full((*tokens.shape, 1), 3.0)], axis=2)

    networks = [
        MaskedLM(logits, mask=SYMBOLS),
        MaskedLM(probabilities, mask=SYMBOLS, output="probabilities"),
        MaskedLM(with_mask, mask=SYMBOLS, rows_at_once=5),
        MaskedLM(lambda tokens: jnp.asarray(logits(tokens).astype(np.float32)), mask=SYMBOLS, smallest_batch=1),
        MaskedLM(lambda tokens: torch.from_numpy(logits(tokens)), mask=SYMBOLS, threads=2, rows_at_once=4),
    ]
    tables = [every_mask(network.window([0, 3, 3, 1], (1, 2, 3))) for network in networks]
    for other in tables[1:]:
        for one, same in zip(tables[0], other, strict=True):
            np.testing.assert_allclose(same, one, atol=3e-7)
    tokens = np.random.default_rng(2).integers(0, SYMBOLS + 1, (9, 4))
    for network in networks[1:]:
        np.testing.assert_allclose(network.probabilities(tokens), networks[0].probabilities(tokens), atol=3e-7)


def test_a_window_is_what_the_network_says_of_whole_rows() -> None:
    """Held sites keep their tokens, a site's own alphabet is its own, and the mass outside is what is left."""
    network = MaskedLM(
        lambda tokens: logits(tokens, 6), mask=5, alphabet=Alphabet.numbered(5), prefix=(4,), suffix=(4, 4)
    )
    region = network.region([2, 0, 1, 3], (1, 3), 3)
    model = WindowConditionals(region)
    assert region.native is not None
    assert 0 in region.ids[0]
    assert 3 in region.ids[1]
    for context in range(3):
        row = np.array([[4, 2, 5, 1, region.ids[1, context], 4, 4]])
        values = logits(row, 6)[0, 2]
        masses = np.exp(values - values.max())
        masses /= masses.sum()
        inside = masses[region.ids[0]]
        np.testing.assert_allclose(model.token_conditionals((0,))[0, context], inside / inside.sum(), atol=1e-14)
    mean, largest = model.outside_mass()
    assert 0 < mean <= largest < 1


def test_tables_on_disk_are_read_and_an_interrupted_one_goes_on(tmp_path: Path) -> None:
    asked = []

    def counted(tokens: NDArray[np.int64]) -> NDArray[np.float64]:
        asked.append(len(tokens))
        if sum(asked) > 12 and not allowed:
            raise KeyboardInterrupt
        return logits(tokens)

    import simulators.masked_lm.window as module

    def window(predict: object) -> WindowConditionals:
        network = MaskedLM(predict, mask=SYMBOLS, identity="one", rows_at_once=2)  # type: ignore[arg-type]
        return network.window([0, 3, 3, 3], (1, 2, 3), cache=tmp_path)

    plain = every_mask(MaskedLM(logits, mask=SYMBOLS).window([0, 3, 3, 3], (1, 2, 3)))
    allowed = False
    patch = pytest.MonkeyPatch()
    patch.setattr(module, "SAVED_EVERY", 0.0)
    with patch.context():
        with pytest.raises(KeyboardInterrupt):
            window(counted).compute_all()
        allowed = True
        again = window(counted)
        missing = again.rows_missing
        assert 0 < missing < again.rows
        again.compute_all()
    patch.undo()
    assert again.rows_asked == missing
    third = window(lambda tokens: pytest.fail("the network is not needed"))
    for found, same in zip(every_mask(third), plain, strict=True):
        np.testing.assert_array_equal(found, same)
    torn = next(tmp_path.glob("*/0.npz"))
    torn.write_bytes(torn.read_bytes()[:100])
    assert window(counted).rows_missing == 9


def test_another_network_context_or_alphabet_has_tables_of_its_own(tmp_path: Path) -> None:
    def folders(identity: str, sequence: list[int], sites: tuple[int, ...], symbols: int) -> int:
        network = MaskedLM(lambda tokens: logits(tokens, 6), mask=5, identity=identity)
        network.window(sequence, sites, Alphabet.numbered(symbols), cache=tmp_path).compute_all()
        return len(list(tmp_path.iterdir()))

    assert folders("a", [0, 1, 2], (0, 1), 3) == 1
    assert folders("a", [2, 2, 2], (0, 1), 3) == 1  # the window's own tokens do not matter
    assert folders("b", [0, 1, 2], (0, 1), 3) == 2
    assert folders("a", [0, 1, 3], (0, 1), 3) == 3
    assert folders("a", [0, 1, 2], (1, 2), 3) == 4
    assert folders("a", [0, 1, 2], (0, 1), 4) == 5


def test_a_window_equals_the_function_conditionals_of_the_same_network() -> None:
    network = MaskedLM(logits, mask=SYMBOLS)
    function = FunctionConditionals(4, SYMBOLS, network.probabilities)
    window = network.window([SYMBOLS] * 4, range(4))
    for size in (1, 2):
        for mask in combinations(range(4), size):
            np.testing.assert_allclose(window.joint_conditional(mask), function.joint_conditional(mask), atol=1e-14)


def test_what_cannot_be_used_is_named() -> None:
    network = MaskedLM(logits, mask=SYMBOLS)
    with pytest.raises(InvalidInput, match="sites"):
        network.window([0, 1], (0, 2))
    with pytest.raises(InvalidInput, match="sites"):
        network.window([0, 1], ())
    with pytest.raises(InvalidInput, match="top:9"):
        network.window([0, 1], (0,), 9)
    with pytest.raises(InvalidInput, match="identity"):
        network.window([0, 1], (0,), cache="anywhere")
    with pytest.raises(InvalidInput, match="text"):
        network.encode("ACD")
    with pytest.raises(InvalidInput, match="at most 3"):
        MaskedLM(logits, mask=SYMBOLS, longest=3).encode([0, 0, 0, 0])
    with pytest.raises(InvalidInput, match="mask"):
        MaskedLM(logits, mask=2, alphabet=Alphabet.numbered(3))
    with pytest.raises(InvalidInput, match="own"):
        Alphabet(("a", "b"), np.array([1, 1]))
    with pytest.raises(InvalidInput, match="output"):
        MaskedLM(logits, mask=2, output="scores")
    with pytest.raises(InvalidInput, match="sums off"):
        MaskedLM(lambda tokens: np.ones((*tokens.shape, 3)), mask=3, output="probabilities").window(
            [0, 1], (0,)
        ).compute_all()
    with pytest.raises(InvalidInput, match="shape"):
        MaskedLM(lambda tokens: np.ones((2, 2)), mask=3).window([0, 1], (0,)).compute_all()
    with pytest.raises(InvalidInput, match="finite"):
        MaskedLM(lambda tokens: np.full((*tokens.shape, 3), np.nan), mask=3).window([0, 1], (0,)).compute_all()
    with pytest.raises(InvalidInput, match="has none"):
        MaskedLM(logits, mask=7).window([0, 1], (0,)).compute_all()


def test_half_precision_probabilities_are_taken_for_what_they_are() -> None:
    """Their sums are off by more than float32's; the error of anything worse names the precision."""

    def half(tokens: NDArray[np.int64]) -> NDArray[np.float16]:
        masses = np.exp(logits(tokens))
        return np.asarray(masses / masses.sum(axis=2, keepdims=True)).astype(np.float16)

    MaskedLM(half, mask=SYMBOLS, output="probabilities").window([0, 1, 2], (0, 1)).compute_all()
    with pytest.raises(InvalidInput, match="float16"):
        MaskedLM(lambda t: 2 * half(t), mask=SYMBOLS, output="probabilities").window([0, 1], (0,)).compute_all()
