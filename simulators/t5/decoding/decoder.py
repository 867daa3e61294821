"""What every decoder of a T5 is to its callers, whether it goes token by token, keeps a beam, or refines.

Legend: ``B`` sentences, ``L`` longest target, ``T`` refinement steps, ``n`` hypotheses that were asked for.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import jax
import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.t5.network.config import T5Config
from simulators.t5.network.network import T5


class Ranked(NamedTuple):
    """The best different hypotheses of each sentence, best first; those that do not exist have score -inf.

    Attributes:
        tokens: ids, EOS included, padded on the right, [B, n, L].
        lengths: EOS counted, [B, n].
        scores: what they are ranked by, [B, n].
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int32]
    scores: NDArray[np.float32]


class Decoded(NamedTuple):
    """Targets of a batch, the best hypothesis of each sentence.

    Attributes:
        tokens: ids, EOS included where it was reached, padded on the right, [B, L].
        lengths: EOS counted, [B].
        scores: sum of log-probabilities, divided by a power of the length where hypotheses compete, or the rescorer's,
            [B]; None where they were not asked for.
        steps: passes of the decoder that each target took, [B].
        inputs: of refinement, what the last pass of each target saw, masks included, [B, L].
        history: of refinement, tokens after each step [T, B, L], where recorded; a finished target repeats.
        ranked: several hypotheses, where they were asked for.
    """

    tokens: NDArray[np.int32]
    lengths: NDArray[np.int32]
    scores: NDArray[np.float32] | None
    steps: NDArray[np.int32]
    inputs: NDArray[np.int32] | None = None
    history: NDArray[np.int32] | None = None
    ranked: Ranked | None = None


class Decoder(Protocol):
    """Decodes with the weights that a network has now; compiled once for all networks of a configuration.

    Attributes:
        config: of the network.
        traces: how many programs were compiled so far: one for each shape of a batch.
    """

    config: T5Config
    traces: int

    def load(self, network: T5) -> None:
        """Take the weights of a network of the same configuration, without compiling again.

        Raises:
            InvalidInput: another configuration.
        """

    def __call__(
        self,
        source: ArrayLike,
        lengths: ArrayLike | None = None,
        key: jax.Array | None = None,
        sentences: ArrayLike | None = None,
        steps: int | None = None,
    ) -> Decoded:
        """Targets of a batch of source sentences.

        Args:
            source: ids [B, S] padded on the right, or a list of lists of ids.
            lengths: of refinement, true lengths [B], EOS counted, in place of predicted ones.
            key: of random starts and of sampling.
            sentences: numbers [B] that tell sentences apart in drawing; 0..B-1 by default.
            steps: of refinement, in place of the settings'.

        Raises:
            InvalidInput: see `simulators.t5.network.batches.source_batch`; what the decoder needs and was not given,
                or was given and cannot use.
        """


def ranked_hypotheses(
    tokens: NDArray[np.int32],
    lengths: NDArray[np.int32],
    scores: NDArray[np.floating],
    exists: NDArray[np.bool_],
    count: int,
) -> Ranked:
    """The best ``count`` hypotheses of each sentence; of those with the same tokens only the best is kept.

    Args:
        tokens, lengths, scores: of all hypotheses of each sentence, [B, M, L], [B, M] and [B, M].
        exists: which of them there are, [B, M].
        count: n.
    """
    batch, _, longest = tokens.shape
    kept = Ranked(
        np.zeros((batch, count, longest), np.int32),
        np.zeros((batch, count), np.int32),
        np.full((batch, count), -np.inf, np.float32),
    )
    for sentence in range(batch):
        seen: dict[bytes, int] = {}
        for index in np.argsort(-scores[sentence], kind="stable"):
            if exists[sentence, index] and len(seen) < count:
                seen.setdefault(tokens[sentence, index, : lengths[sentence, index]].tobytes(), int(index))
        for place, index in enumerate(seen.values()):
            kept.tokens[sentence, place] = tokens[sentence, index]
            kept.lengths[sentence, place] = lengths[sentence, index]
            kept.scores[sentence, place] = scores[sentence, index]
    return kept
