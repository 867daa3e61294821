"""Some sites of a sequence that may change, all others held as they are: what chains and decoders see of a network.

The sites of a region are numbered 0..n-1 and its symbols 0..q-1 (the mask is q); every site may have an alphabet of its
own, of the same size.

Legend: ``N`` tokens of the sequence, ``n`` sites of the region, ``q`` symbols, ``B`` rows.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from simulators.masked_lm.alphabets import Alphabet
from simulators.masked_lm.masked_lm import MaskedLM
from theory.errors import InvalidInput
from theory.states import check_sites

Array = NDArray[np.float64]
Ids = NDArray[np.int64]


class Region:
    """A network on some sites of a sequence.

    Args:
        network: the network.
        context: token numbers of the whole sequence [N].
        sites: the sites that may change, ascending.
        alphabet: the symbols of every site (by default the network's), or the number K of likeliest symbols at each
            site, all sites of the region masked; the token of the sequence itself is always among them.

    Attributes:
        places: the sites, [n]; ``sites`` is their number n.
        ids: tokens of the symbols at each site, [n, q]; ``symbols`` is q.
        native: symbols of the sequence itself, [n]; None where one of them is not in the alphabet.
        calls: rows of the network that were asked for.

    Raises:
        InvalidInput: no site, sites outside the sequence or one twice, or more symbols than there are.
    """

    def __init__(
        self, network: MaskedLM, context: Ids, sites: Sequence[int], alphabet: Alphabet | int | None = None
    ) -> None:
        if len(sites) == 0:
            raise InvalidInput("sites", "none", "at least one site is needed")
        self.places = check_sites(sites, len(context), "sites")
        self.network, self.context = network, context
        self.sites = len(self.places)
        self.calls = 0
        if isinstance(alphabet, int):
            self.ids = self._likeliest(alphabet)
        else:
            self.ids = np.tile((alphabet or network.alphabet).ids, (self.sites, 1))
        self.symbols = int(self.ids.shape[1])
        own = self.ids == context[list(self.places)][:, None]
        self.native = own.argmax(axis=1) if own.any(axis=1).all() else None

    def rows(self, tokens: NDArray[np.integer]) -> Ids:
        """Whole sequences [B, N] with the region's symbols (or masks) [B, n] put in."""
        known = np.concatenate([self.ids, np.full((self.sites, 1), self.network.mask)], axis=1)
        rows = np.tile(self.context, (len(tokens), 1))
        rows[:, list(self.places)] = known[np.arange(self.sites), tokens]
        return rows

    def laws(self, tokens: NDArray[np.integer], sites: Sequence[int] | None = None) -> tuple[Array, Array]:
        """Laws at some sites of the region (all by default) and the mass outside the alphabet, [B, k, q] and [B, k]."""
        chosen = list(range(self.sites)) if sites is None else list(sites)
        self.calls += len(tokens)
        return self.network.laws(self.rows(tokens), [self.places[site] for site in chosen], self.ids[chosen])

    def probabilities(self, tokens: NDArray[np.integer]) -> Array:
        """p(x_i = . | the visible) at every site of the region, [B, n] -> [B, n, q]: what decoders ask for."""
        return self.laws(tokens)[0]

    def leave_one_out(self, tokens: NDArray[np.integer]) -> Array:
        """p(x_i = . | x_-i) at every site of full sequences, [B, n] -> [B, n, q]: n rows of the network for each."""
        count = len(tokens)
        masked = np.repeat(np.asarray(tokens)[:, None, :], self.sites, axis=1)
        masked[:, np.arange(self.sites), np.arange(self.sites)] = self.symbols
        result = np.empty((count, self.sites, self.symbols))
        for site in range(self.sites):
            result[:, site] = self.laws(masked[:, site], [site])[0][:, 0]
        return result

    def text(self, tokens: NDArray[np.integer], whole: bool = False) -> str:
        """The symbols of the region [n] as text, or the whole sequence."""
        row = self.rows(np.asarray(tokens)[None])[0]
        return self.network.show(row if whole else row[list(self.places)])

    def _likeliest(self, count: int) -> Ids:
        available = self.network.alphabet
        if not 2 <= count <= available.size:
            raise InvalidInput("alphabet", f"top:{count}", f"K must lie in 2..{available.size}")
        row = self.context.copy()
        row[list(self.places)] = self.network.mask
        laws, _ = self.network.laws(row[None], self.places)
        chosen = available.ids[np.argsort(-laws[0], axis=1, kind="stable")[:, :count]]
        for site, place in enumerate(self.places):
            own = self.context[place]
            if own in available.ids and own not in chosen[site]:
                chosen[site, -1] = own
        return np.asarray(chosen)
