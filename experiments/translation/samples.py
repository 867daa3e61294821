"""Sentences with their refinement steps, as plain data: where words stutter, and where registers mix.

One entry for each sentence and way to decode:

number, source, reference, translation    line of the test set, and texts
passes, score                             of the decoder; the score where hypotheses have one
edits                                     in tokens, that make the reference: of length, tokens and order, see
                                          `simulators.t5.decoding.evaluation`
stutters                                  positions of the translation that repeat their left neighbour
steps                                     of refinement: tokens (a mask is "_"), changed positions, stutters, and in the
                                          synthetic language registers, one letter a token

A sentence of the synthetic language is *mixed* where the tokens of its translation are of more than one register.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from simulators.t5.decoding.rescoring import Rescorer
    from simulators.t5.decoding.translation import Settings, Target
    from simulators.t5.files.parallel_text import Pairs
    from simulators.t5.files.vocabulary import Vocabulary
    from simulators.t5.network.network import T5

UNSET = "_"
"""How a mask is written."""

Register = Callable[[str], str]
"""Register of a piece, one letter, or "-" for a piece without one."""


def written(token: int, pieces: Vocabulary, network_ids: int) -> str:
    """A token of a network that knows so many ids, as a person reads it."""
    if token >= network_ids:
        return UNSET
    return pieces.piece(token) if token < pieces.size else f"<{token}>"


def changed(tokens: Sequence[int], before: Sequence[int] | None) -> list[int]:
    """Positions at which a step differs from the one before; none at the first step, which makes all of them."""
    if before is None:
        return []
    return [i for i, token in enumerate(tokens) if i >= len(before) or before[i] != token]


def samples(
    network: T5,
    vocabulary: Vocabulary,
    pairs: Pairs,
    settings: Settings,
    *,
    rows: int = 64,
    seed: int = 0,
    rescorer: Rescorer | None = None,
    register: Register | None = None,
) -> Iterator[dict[str, Any]]:
    """Decode sentence pairs and describe each.

    Args:
        network, vocabulary: what translates.
        pairs: sentences and their references.
        settings: of the decoder; refinement must record its steps.
        rows: sentences of a batch.
        seed: of random starts and sampling.
        rescorer: chooses among the hypotheses of refinement.
        register: of the synthetic language.
    """
    from simulators.t5.decoding.evaluation import edit_errors
    from simulators.t5.decoding.translation import Translator

    targets = Translator(network, settings, rows, seed, rescorer=rescorer)(vocabulary.encode(pairs.sources))
    texts = vocabulary.decode(target.tokens for target in targets)
    references = [row[:-1] for row in vocabulary.encode(pairs.targets)]
    for number, (target, text) in enumerate(zip(targets, texts, strict=True)):
        known = {"number": number + 1, "source": pairs.sources[number], "reference": pairs.targets[number]}
        edits = edit_errors([target.tokens], [references[number]])._asdict()
        yield (
            known
            | {"translation": text, "edits": edits}
            | _described(target, vocabulary, network.config.vocab_size, register)
        )


def _described(target: Target, pieces: Vocabulary, ids: int, register: Register | None) -> dict[str, Any]:
    steps = []
    before: Sequence[int] | None = None
    for tokens in target.history or []:
        words = [written(token, pieces, ids) for token in tokens]
        step = {"tokens": words, "changed": changed(tokens, before), "stutters": _stutters(words)}
        if register is not None:
            step["registers"] = "".join(map(register, words))
        steps.append(step)
        before = tokens
    words = [written(token, pieces, ids) for token in target.tokens]
    entry: dict[str, Any] = {"passes": target.passes, "score": target.score, "stutters": _stutters(words)}
    if register is not None:
        registers = "".join(map(register, words))
        entry |= {"registers": registers, "mixed": len(set(registers) - {"-"}) > 1}
    return entry | {"steps": steps}


def _stutters(words: Sequence[str]) -> list[int]:
    return [i for i in range(1, len(words)) if words[i] == words[i - 1] != UNSET]


def as_lines(entries: Sequence[dict[str, Any]]) -> str:
    """One JSON object a line."""
    return "".join(json.dumps(entry, ensure_ascii=False) + "\n" for entry in entries)
