"""One adapter for every masked network: JAX, torch or NumPy, logits or probabilities, with or without a mask column.

A network takes token numbers [B, L] and gives numbers [B, L, V], an entry for each token that could stand there. The
adapter takes care of everything around it: batches, arrays of any kind, softmax in float64, the alphabet, tokens that
frame a sequence. Behind it are

- `MaskedLM.probabilities`, tokens [B, N] -> laws [B, N, q], as decoders and Monte Carlo want them;
- `MaskedLM.window`, exact conditionals with one table a mask, kept in memory and, if wanted, on disk;
- `MaskedLM.region`, the same sites for decoders and, as `simulators.masked_lm.simulated.NetworkModel`, Monte Carlo.

Legend: ``B`` batch, ``N`` sites of a sequence, ``L`` tokens with those that frame it, ``V`` vocabulary, ``q`` symbols.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from simulators.masked_lm.alphabets import Alphabet
from theory.errors import InvalidInput

if TYPE_CHECKING:
    from simulators.masked_lm.region import Region
    from simulators.masked_lm.window import Progress, WindowConditionals

Array = NDArray[np.float64]
Ids = NDArray[np.int64]

OUTPUTS = ("logits", "probabilities")
BATCH_BYTES = 2**28
"""What a network puts out for one batch takes about this much memory, if its vocabulary is known."""


@dataclass(frozen=True, eq=False)
class MaskedLM:
    """A masked network, its alphabet, and how its sequences are framed.

    Attributes:
        predict: token numbers [B, L] (int64) -> logits or probabilities [B, L, V], an array of NumPy, JAX or torch;
            only entries at masked places are read. Rows must not depend on the rest of their batch.
        mask: number of the mask token.
        alphabet: the symbols; by default the tokens 0..mask-1. Masks and whatever else has no symbol are never drawn.
        output: what ``predict`` returns; log-probabilities are logits.
        prefix, suffix: tokens before and after every sequence.
        longest: most sites that the network can take, None where there is no limit.
        rows_at_once: largest batch.
        smallest_batch: short batches are filled up to a power of two of at least so many rows, so that a compiled
            network sees few shapes; 0: none is.
        identity: what tells this network from all others (a hash of its weights); None: nothing is kept on disk.
        precision: of the network's numbers, for records.
        encoder: from text to token numbers [N], without the frame; None where the network knows no text.
        decoder: from token numbers to text.
        speller: tokens of one symbol, for alphabets given as text.
        unknown: the token of whatever has none of its own.
        threads: batches that are computed side by side.
    """

    predict: Callable[[Ids], Any]
    mask: int
    alphabet: Alphabet = None  # type: ignore[assignment]  # filled in from ``mask``
    output: str = "logits"
    prefix: tuple[int, ...] = ()
    suffix: tuple[int, ...] = ()
    longest: int | None = None
    rows_at_once: int = 64
    smallest_batch: int = 0
    identity: str | None = None
    precision: str = "float32"
    encoder: Callable[[str], Ids] | None = field(default=None, repr=False)
    decoder: Callable[[Ids], str] | None = field(default=None, repr=False)
    speller: Callable[[str], Sequence[int]] | None = field(default=None, repr=False)
    unknown: int | None = None
    threads: int = 1

    def __post_init__(self) -> None:
        if self.output not in OUTPUTS:
            raise InvalidInput("output", self.output, "one of " + ", ".join(OUTPUTS))
        if self.rows_at_once < 1:
            raise InvalidInput("rows_at_once", self.rows_at_once, "at least 1 is needed")
        if self.alphabet is None:
            object.__setattr__(self, "alphabet", Alphabet.numbered(self.mask))
        if self.mask in self.alphabet.ids:
            raise InvalidInput("alphabet", self.mask, "the mask is no symbol")

    @staticmethod
    def open(
        folder: str | Path, *, device: str = "cpu", precision: str = "float32", rows_at_once: int = 64
    ) -> MaskedLM:
        """The network of a folder in the layout of transformers; see `simulators.masked_lm.folder.open_folder`."""
        from simulators.masked_lm.folder import open_folder

        return open_folder(Path(folder), device=device, precision=precision, rows_at_once=rows_at_once).model

    def with_alphabet(self, alphabet: Alphabet) -> MaskedLM:
        """The same network with other symbols."""
        return replace(self, alphabet=alphabet)

    def spell(self, symbols: Sequence[str]) -> Alphabet:
        """The alphabet of some texts.

        Raises:
            InvalidInput: a network that knows no text, or an entry that is not one known token of its own.
        """
        if self.speller is None:
            raise InvalidInput("alphabet", tuple(symbols), "this network takes token numbers, not text")
        return Alphabet.of_tokens(symbols, self.speller, self.unknown)

    def show(self, ids: Ids) -> str:
        """Tokens as text; numbers where the network knows no text."""
        return " ".join(str(number) for number in ids) if self.decoder is None else self.decoder(np.asarray(ids))

    def encode(self, sequence: str | ArrayLike) -> Ids:
        """Token numbers [N] of a sequence, given as text or as token numbers.

        Raises:
            InvalidInput: text for a network that knows none, an empty sequence, or one that is too long.
        """
        if isinstance(sequence, str):
            if self.encoder is None:
                raise InvalidInput("sequence", sequence, "this network takes token numbers, not text")
            ids = self.encoder(sequence)
        else:
            ids = np.asarray(sequence)
        if ids.ndim != 1 or ids.size == 0 or not np.issubdtype(ids.dtype, np.integer):
            raise InvalidInput("sequence", sequence, "at least one token is needed, in one row")
        if self.longest is not None and len(ids) > self.longest:
            raise InvalidInput("sequence", f"{len(ids)} tokens", f"this model takes at most {self.longest}")
        return ids.astype(np.int64)

    def laws(self, ids: Ids, places: Sequence[int], columns: Ids | None = None) -> tuple[Array, Array]:
        """Laws over an alphabet at some places of some rows.

        Args:
            ids: token numbers [B, N], masks included, without the frame.
            places: sites of the sequences, [P].
            columns: tokens of the symbols at each place, [P, q]; by default those of the alphabet.

        Returns:
            Probabilities [B, P, q] that sum to 1 over the symbols, and the mass outside the symbols before, [B, P].

        Raises:
            InvalidInput: the network returned a wrong shape, numbers that are not finite, or no probabilities.
        """
        wanted = len(self.prefix) + np.asarray(places, dtype=np.int64)
        chosen = np.broadcast_to(self.alphabet.ids, (len(wanted), self.alphabet.size)) if columns is None else columns
        if chosen.shape[0] != len(wanted):
            raise InvalidInput("columns", f"shape {chosen.shape}", f"one row for each of {len(wanted)} places")

        def one(first: int) -> tuple[Array, Array]:
            rows = ids[first : first + self.rows_at_once]
            values = self._values(self._framed(rows), wanted)[: len(rows)]
            if chosen.size and chosen.max() >= values.shape[2]:
                raise InvalidInput(
                    "predict", f"{values.shape[2]} columns", f"token {int(chosen.max())} of the alphabet has none"
                )
            masses = values[:, np.arange(len(wanted))[:, None], chosen]
            totals = masses.sum(axis=2)
            return masses / totals[:, :, None], np.maximum(1 - totals, 0.0)

        parts = self._side_by_side(one, range(0, len(ids), self.rows_at_once))
        if not parts:
            return np.zeros((0, len(wanted), chosen.shape[1])), np.zeros((0, len(wanted)))
        return np.concatenate([part[0] for part in parts]), np.concatenate([part[1] for part in parts])

    def probabilities(self, tokens: NDArray[np.integer]) -> Array:
        """p(x_i = . | the visible) at every site: tokens [B, N] (symbols 0..q-1, the mask q) -> [B, N, q].

        This is the face that decoders and `theory.conditionals.FunctionConditionals` ask for.
        """
        tokens = np.asarray(tokens)
        ids = np.append(self.alphabet.ids, self.mask)[tokens]
        return self.laws(ids, range(tokens.shape[1]))[0]

    def window(
        self,
        sequence: str | ArrayLike,
        sites: Sequence[int],
        alphabet: Alphabet | int | None = None,
        *,
        cache: str | Path | None = None,
        progress: Progress | None = None,
    ) -> WindowConditionals:
        """Exact conditionals of some sites, all others of the sequence held as they are.

        Args:
            sequence: text or token numbers [N]; masks in it stay masked.
            sites: sites of the window, 0-based, in ascending order.
            alphabet: the symbols; a whole number K takes the K likeliest of this alphabet at each site (with all sites
                of the window masked, and that of the sequence itself always among them).
            cache: folder where tables are kept, one a mask.
            progress: told how many rows of the network are done, and of how many.
        """
        from simulators.masked_lm.window import WindowConditionals

        return WindowConditionals(self.region(sequence, sites, alphabet), cache=cache, progress=progress)

    def region(self, sequence: str | ArrayLike, sites: Sequence[int], alphabet: Alphabet | int | None = None) -> Region:
        """Some sites of a sequence that may change, for decoders and Monte Carlo; arguments as for `window`."""
        from simulators.masked_lm.region import Region

        return Region(self, self.encode(sequence), sites, alphabet)

    def _side_by_side(self, task: Callable[[int], Any], starts: Sequence[int]) -> list[Any]:
        if self.threads == 1 or len(starts) == 1:
            return [task(start) for start in starts]
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(self.threads) as pool:
            return list(pool.map(task, starts))

    def _framed(self, rows: Ids) -> Ids:
        """Rows between the tokens that frame them, filled up to a power of two where batches shall be alike."""
        if self.smallest_batch:
            size = min(self.rows_at_once, 1 << (max(len(rows), self.smallest_batch) - 1).bit_length())
            rows = np.concatenate([rows, np.broadcast_to(rows[:1], (size - len(rows), rows.shape[1]))])
        left = np.broadcast_to(np.array(self.prefix, dtype=np.int64), (len(rows), len(self.prefix)))
        right = np.broadcast_to(np.array(self.suffix, dtype=np.int64), (len(rows), len(self.suffix)))
        return np.ascontiguousarray(np.concatenate([left, rows, right], axis=1), dtype=np.int64)

    def _values(self, framed: Ids, places: Ids) -> Array:
        """Probabilities over the vocabulary in float64, [B, P, V]."""
        raw = self.predict(framed)
        if getattr(raw, "ndim", 0) != 3 or tuple(raw.shape[:2]) != framed.shape:
            raise InvalidInput(
                "predict", f"an array of shape {tuple(getattr(raw, 'shape', ()))}", f"shape {framed.shape} + (V,)"
            )
        kind = str(raw.dtype).rpartition(".")[2]
        values = to_numpy(raw, places)
        if self.output == "logits":
            top = values.max(axis=2, keepdims=True)
            if not np.isfinite(top).all() or np.isnan(values).any():
                raise InvalidInput("predict", "NaN or infinity", "logits must be finite, or -inf for what cannot be")
            masses = np.exp(values - top)
            return np.asarray(masses / masses.sum(axis=2, keepdims=True))
        sums = values.sum(axis=2, keepdims=True)
        allowed = _sum_tolerance(kind)
        if not (values >= 0).all() or not (np.abs(sums - 1) <= allowed).all():
            worst = float(np.abs(sums - 1).max())
            raise InvalidInput(
                "predict",
                f"{kind} numbers, the sums off by up to {worst:.2g}",
                f"probabilities are >= 0 and sum to 1 over the tokens, within {allowed:.1g} in {kind}",
            )
        return np.asarray(values / sums)


def to_numpy(values: Any, places: Ids) -> Array:
    """An array of NumPy, JAX or torch [B, L, V] at some places, in float64, [B, P, V]."""
    if hasattr(values, "detach"):
        # What is not needed stays on the device; NumPy has no bfloat16, torch widens it itself.
        return np.asarray(values[:, places].detach().double().cpu().numpy())
    return np.asarray(values)[:, places].astype(np.float64)


def _sum_tolerance(kind: str) -> float:
    """How far a sum of probabilities may be from 1 by rounding in that precision."""
    steps = {"float16": 2.0**-10, "bfloat16": 2.0**-7}
    return max(1e-6, 4 * steps.get(kind, 0.0))
