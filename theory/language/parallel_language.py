r"""A synthetic pair of languages in which the law p(y | x) of a translation is known exactly.

*Source.* A sentence has n words, n uniform on ``shortest..longest``; the words 0..W-1 lie on a circle, the first is
uniform and each next one lies 1..``branching`` places further on, uniformly. So no word comes twice in a row.

*Target.* Three things are drawn, independently of each other:

- the *register* z ~ w of the whole sentence: every word v has a translation of its own in each register (the classic
  "Danke schoen / Vielen Dank"), the head token head(v, z);
- the *doubled* words: each word becomes head(v, z) tail(v, z) with probability ``doubling``, else head(v, z) alone, so
  that the place of a word in the target is uncertain;
- the *order*: from left to right, the next two words change places with probability ``swap`` and are done, else the
  next word alone is done; the last word has no partner.

Register, doubled words and order can be read off y, so that for the y that are possible at all

    p(y | x) = w_z  doubling^d (1 - doubling)^(n - d)  prod_units (swap or 1 - swap),      d = l - n doubled words.

*Given the length* l (a parallel decoder is told it) the register is independent of what stands where, hence

    TC(y | x, l) = (l - 1) H(w) + sum_i H(slot_i) - ln C(n, d) - H(order),

where slot_i is the word and the part (head or tail) at position i; its law is a product of a hypergeometric law and of
the law of the order. One parallel step from nothing draws every position from its marginal: all positions are of one
register with probability sum_z w_z^l, and neighbours are equal with positive probability (*stutter*) wherever slots are
uncertain, although no true sentence stutters. Without doubling and swaps TC = (n - 1) H(w).

Legend: ``W`` words, ``Z`` registers, ``n`` source words, ``l`` target tokens, ``d = l - n``, ``K`` possible targets.
Source: Gu et al. 2018 (arXiv:1711.02281) for multimodality; Li et al. 2024 (arXiv:2407.21046) for its part in stutter.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from theory import divergences
from theory.errors import InvalidInput
from theory.laws.joint import SUM_TOLERANCE
from theory.memory import require_memory

Array = NDArray[np.float64]
Sentence = Sequence[int] | NDArray[np.integer]


class TargetLaw(NamedTuple):
    """p(y | x, l) on the targets that are possible.

    Attributes:
        sequences: [K, l].
        probabilities: [K].
    """

    sequences: NDArray[np.int64]
    probabilities: Array


class Parse(NamedTuple):
    """How a target came about.

    Attributes:
        register: z.
        order: position in the source of each word of the target, [n].
        doubled: which of them (in the order of the target) have a tail, [n].
    """

    register: int
    order: tuple[int, ...]
    doubled: tuple[bool, ...]


@dataclass(frozen=True)
class ParallelLanguage:
    """The language pair; the tokens of the target are numbered ``z W + v`` (heads) and ``Z W + z W + v`` (tails).

    Attributes:
        register_weights: w, shape [Z], summing to 1.
        words: W.
        branching: how many words can follow a word.
        doubling: probability that a word becomes two tokens.
        swap: probability that two neighbouring words change places.
        shortest, longest: words of a source sentence.
    """

    register_weights: tuple[float, ...] = (0.5, 0.5)
    words: int = 16
    branching: int = 4
    doubling: float = 0.0
    swap: float = 0.0
    shortest: int = 3
    longest: int = 8

    def __post_init__(self) -> None:
        weights = np.asarray(self.register_weights, dtype=np.float64)
        if weights.ndim != 1 or not weights.size or not (weights >= 0).all() or abs(weights.sum() - 1) > SUM_TOLERANCE:
            raise InvalidInput("register_weights", self.register_weights, "numbers >= 0 that sum to 1 are needed")
        object.__setattr__(self, "register_weights", tuple(float(w) for w in weights / weights.sum()))
        for name in ("doubling", "swap"):
            if not 0 <= getattr(self, name) <= 1:
                raise InvalidInput(name, getattr(self, name), "a probability is needed")
        if self.branching < 1:
            raise InvalidInput("branching", self.branching, "at least 1 is needed")
        # A swap can bring words together that are three apart; they must differ, or the order would be ambiguous.
        reach = 3 if self.swap else 1
        if self.words <= reach * self.branching:
            raise InvalidInput(
                "words", self.words, f"more than {reach * self.branching} are needed, {reach} x branching"
            )
        if self.shortest < 1:
            raise InvalidInput("shortest", self.shortest, "at least 1 is needed")
        if self.longest < self.shortest:
            raise InvalidInput("longest", self.longest, f"at least shortest = {self.shortest} is needed")

    @property
    def registers(self) -> int:
        """Z."""
        return len(self.register_weights)

    @property
    def target_symbols(self) -> int:
        """Tokens of the target language."""
        return self.words * self.registers * (2 if self.doubling else 1)

    def head(self, word: int, register: int) -> int:
        """Token of a word in a register."""
        return register * self.words + word

    def tail(self, word: int, register: int) -> int:
        """Second token of a doubled word."""
        return (self.registers + register) * self.words + word

    def register_of(self, tokens: NDArray[np.integer]) -> NDArray[np.int64]:
        """Register of each token, any shape."""
        return np.asarray(tokens, dtype=np.int64) // self.words % self.registers

    # Sampling

    def sample_source(self, generator: np.random.Generator, words: int | None = None) -> tuple[int, ...]:
        """A source sentence, of a given number of words where one is given."""
        count = int(generator.integers(self.shortest, self.longest + 1)) if words is None else words
        steps = generator.integers(1, self.branching + 1, count - 1)
        return tuple(
            int(v) % self.words for v in generator.integers(self.words) + np.concatenate([[0], np.cumsum(steps)])
        )

    def sample_target(self, source: Sentence, generator: np.random.Generator) -> tuple[int, ...]:
        """A translation of a source sentence."""
        words = self.check_source(source)
        register = int(generator.choice(self.registers, p=self.register_weights))
        order: list[int] = []
        while (place := len(order)) < len(words):
            swapped = place + 1 < len(words) and generator.random() < self.swap
            order += [place + 1, place] if swapped else [place]
        return self.render(words, Parse(register, tuple(order), tuple(generator.random(len(words)) < self.doubling)))

    def sample_pairs(self, count: int, generator: np.random.Generator) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
        """Independent sentence pairs."""
        sources = (self.sample_source(generator) for _ in range(count))
        return [(source, self.sample_target(source, generator)) for source in sources]

    # The law of a target

    def check_source(self, source: Sentence) -> tuple[int, ...]:
        """A source sentence as a tuple.

        Raises:
            InvalidInput: no word, a word outside 0..W-1, or one that cannot follow the word before it.
        """
        words = tuple(int(v) for v in source)
        if not words or min(words) < 0 or max(words) >= self.words:
            raise InvalidInput("source", words, f"one or more words of 0..{self.words - 1} are needed")
        for i in range(1, len(words)):
            if not 1 <= (words[i] - words[i - 1]) % self.words <= self.branching:
                raise InvalidInput(
                    f"source[{i}]", words[i], f"cannot follow {words[i - 1]} with {self.branching} branches"
                )
        return words

    def render(self, source: tuple[int, ...], parse: Parse) -> tuple[int, ...]:
        """The target that a register, an order and doubled words make."""
        tokens: list[int] = []
        for place, doubled in zip(parse.order, parse.doubled, strict=True):
            tokens.append(self.head(source[place], parse.register))
            if doubled:
                tokens.append(self.tail(source[place], parse.register))
        return tuple(tokens)

    def parse(self, source: Sentence, target: Sentence) -> Parse | None:
        """How the target came about, or None where it is no translation of the source (whatever its probability)."""
        words, tokens = self.check_source(source), tuple(int(t) for t in target)
        heads = [t for t in tokens if 0 <= t < self.registers * self.words]
        if len(heads) != len(words):
            return None
        register = heads[0] // self.words
        order: list[int] = []
        while (place := len(order)) < len(words):
            following = heads[place] % self.words
            if following == words[place]:
                order.append(place)
            elif place + 1 < len(words) and following == words[place + 1]:
                order += [place + 1, place]
            else:
                return None
        doubled, position = [], 0
        for place in order:
            position += 1
            doubled.append(tokens[position : position + 1] == (self.tail(words[place], register),))
            position += doubled[-1]
        found = Parse(register, tuple(order), tuple(doubled))
        return found if self.render(words, found) == tokens else None

    def log_probability(self, source: Sentence, target: Sentence) -> float:
        """ln p(y | x), -inf where y is impossible."""
        found = self.parse(source, target)
        if found is None:
            return -math.inf
        doubled = sum(found.doubled)
        mass = self.register_weights[found.register] * self._order_probability(found.order)
        mass *= self.doubling**doubled * (1 - self.doubling) ** (len(found.order) - doubled)
        return math.log(mass) if mass > 0 else -math.inf

    def mode(self, source: Sentence) -> tuple[int, ...]:
        """A most likely target: what sequence-level distillation replaces every translation by."""
        words = self.check_source(source)
        best = max(_orders(len(words)), key=self._order_probability) if self.swap else tuple(range(len(words)))
        doubled = (self.doubling > 0.5,) * len(words)
        return self.render(words, Parse(int(np.argmax(self.register_weights)), best, doubled))

    def length_law(self, source: Sentence) -> Array:
        """p(l | x) for l = n..2n, shape [n + 1]."""
        n = len(self.check_source(source))
        return np.array([math.comb(n, d) * self.doubling**d * (1 - self.doubling) ** (n - d) for d in range(n + 1)])

    def target_law(self, source: Sentence, length: int) -> TargetLaw:
        """p(y | x, l), every possible target listed.

        Raises:
            InvalidInput: a length of probability zero, or more targets than fit in memory.
        """
        words, doubled = self._length(source, length)
        orders = (
            [order for order in _orders(len(words)) if self._order_probability(order) > 0]
            if self.swap
            else [tuple(range(len(words)))]
        )
        registers = [z for z, w in enumerate(self.register_weights) if w > 0]
        count = len(registers) * math.comb(len(words), doubled) * len(orders)
        require_memory(count * length * 16.0, "length", length, f"the list of {count} targets")
        tokens, masses = [], []
        for chosen in itertools.combinations(range(len(words)), doubled):
            pattern = tuple(place in chosen for place in range(len(words)))
            for order in orders:
                for register in registers:
                    tokens.append(self.render(words, Parse(register, order, pattern)))
                    masses.append(self.register_weights[register] * self._order_probability(order))
        probabilities = np.array(masses)
        return TargetLaw(np.array(tokens, dtype=np.int64), probabilities / probabilities.sum())

    # What a parallel decoder meets

    def slot_law(self, source: Sentence, length: int) -> Array:
        """p(word and part at position i | x, l): [l, 2 W], heads in the first W columns, tails in the others."""
        words, doubled = self._length(source, length)
        n = len(words)
        moved = self._swap_starts(n)
        result = np.zeros((length, 2 * self.words))
        total = math.comb(n, doubled)
        for place in range(n):
            # The word at this place of the target: the next one, the one before, or its own.
            here = {place + 1: moved[place], place - 1: moved[place - 1] if place else 0.0}
            here[place] = 1 - sum(here.values())
            for before in range(max(0, doubled - (n - place)), min(place, doubled) + 1):
                ways = math.comb(place, before) / total
                head = ways * math.comb(n - place, doubled - before)
                tail = ways * math.comb(n - place - 1, doubled - before - 1) if doubled > before else 0.0
                for other, probability in here.items():
                    if probability:
                        result[place + before, words[other]] += probability * head
                        if tail:
                            result[place + before + 1, self.words + words[other]] += probability * tail
        return result

    def marginals(self, source: Sentence, length: int) -> Array:
        """p(y_i | x, l), the laws that one parallel step draws from: [l, 2 W Z], in the order of the tokens."""
        slots = self.slot_law(source, length).reshape(length, 2, 1, self.words)
        joint = slots * np.asarray(self.register_weights)[None, None, :, None]
        return np.asarray(joint.reshape(length, -1))

    def conditional_entropy(self, source: Sentence, length: int) -> float:
        """H(y | x, l) in nats."""
        words, doubled = self._length(source, length)
        coin = divergences.entropy([self.swap, 1 - self.swap])
        # Every unit that starts before the last word tosses the coin of a swap.
        tosses = sum(self._unit_starts(len(words))[:-1])
        return divergences.entropy(self.register_weights) + math.log(math.comb(len(words), doubled)) + tosses * coin

    def total_correlation(self, source: Sentence, length: int) -> float:
        """TC(y | x, l) = sum_i H(y_i | x, l) - H(y | x, l) in nats, what one parallel step loses in KL."""
        slots = sum(divergences.entropy(row) for row in self.slot_law(source, length))
        marginal = length * divergences.entropy(self.register_weights) + slots
        return marginal - self.conditional_entropy(source, length)

    def coherent_probability(self, length: int) -> float:
        """sum_z w_z^l: probability that one parallel step stays in one register."""
        return float((np.asarray(self.register_weights) ** length).sum())

    def expected_stutters(self, source: Sentence, length: int) -> float:
        """Expected number of positions whose token one parallel step repeats from its left neighbour."""
        marginals = self.marginals(source, length)
        return float((marginals[1:] * marginals[:-1]).sum())

    def _length(self, source: Sentence, length: int) -> tuple[tuple[int, ...], int]:
        """The checked source and the number of doubled words."""
        words = self.check_source(source)
        law = self.length_law(words)
        if not 0 <= length - len(words) < len(law) or law[length - len(words)] == 0:
            possible = [len(words) + int(d) for d in np.flatnonzero(law)]
            raise InvalidInput("length", length, f"one of {possible} is needed for {len(words)} words")
        return words, length - len(words)

    def _unit_starts(self, n: int) -> list[float]:
        """Probability that a unit (a word alone, or two that change places) starts at each place, [n]."""
        starts = [1.0]
        for place in range(1, n):
            # One place back a unit of one word (n > place, so it had a partner to refuse), two back a swapped pair.
            starts.append(starts[-1] * (1 - self.swap) + (starts[-2] * self.swap if place > 1 else 0.0))
        return starts

    def _swap_starts(self, n: int) -> list[float]:
        """Probability that a swapped pair starts at each place, [n]."""
        return [start * self.swap for start in self._unit_starts(n)[:-1]] + [0.0]

    def _order_probability(self, order: tuple[int, ...]) -> float:
        mass, place = 1.0, 0
        while place < len(order) - 1:
            swapped = order[place] != place
            mass *= self.swap if swapped else 1 - self.swap
            place += 2 if swapped else 1
        return mass


def _orders(n: int) -> Iterator[tuple[int, ...]]:
    """Every order that exchanges disjoint pairs of neighbours."""

    def grow(place: int) -> Iterator[tuple[int, ...]]:
        if place >= n:
            yield ()
            return
        for rest in grow(place + 1):
            yield (place, *rest)
        if place + 1 < n:
            for rest in grow(place + 2):
                yield (place + 1, place, *rest)

    return grow(0)
