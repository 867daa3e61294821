"""One table a mask: conditionals that are costly to make are made once, whatever asks for them again and again.

Matrix-free operators ask for the conditionals of every mask at every product. For a network, or a tempered model, that
is most of the work; kept tables leave the products alone.

Legend: ``q`` symbols, ``n`` sites, ``k`` masked sites.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from theory.conditionals import Array, ConditionalModel
from theory.errors import InvalidInput
from theory.masks import Mask
from theory.memory import available_bytes
from theory.states import check_sites

KEPT_SHARE = 0.25
"""Part of the free memory that tables may take, all together; what does not fit is made anew each time."""


class CachedConditionals(ConditionalModel):
    """Another model's conditionals, each table kept.

    Args:
        model: must not change any more.
        room: bytes that all tables together may take; by default a quarter of what is free now.

    Raises:
        InvalidInput: a negative room.
    """

    def __init__(self, model: ConditionalModel, room: float | None = None) -> None:
        if room is not None and not room >= 0:
            raise InvalidInput("room", room, "a number of bytes >= 0")
        self.model = model
        self.sites, self.symbols, self.law = model.sites, model.symbols, model.law
        self._room = KEPT_SHARE * available_bytes() if room is None else room
        self._tokens: dict[Mask, Array] = {}
        self._joint: dict[Mask, Array] = {}

    def token_conditionals(self, masked: Iterable[int]) -> Array:
        chosen = check_sites(masked, self.sites)
        return self._kept(self._tokens, chosen, lambda: self.model.token_conditionals(chosen))

    def joint_conditional(self, masked: Iterable[int]) -> Array:
        chosen = check_sites(masked, self.sites)
        return self._kept(self._joint, chosen, lambda: self.model.joint_conditional(chosen))

    def _kept(self, tables: dict[Mask, Array], mask: Mask, make: Callable[[], Array]) -> Array:
        if mask in tables:
            return tables[mask]
        made = make()
        # Handed out again and again: nobody may write into it.
        made.flags.writeable = False
        if made.nbytes <= self._room:
            self._room -= made.nbytes
            tables[mask] = made
        return made
