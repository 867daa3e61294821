"""How refinement steps are printed: one line for each, with the tokens that changed marked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

    from simulators.t5.decoding.translation import Target
    from simulators.t5.files.vocabulary import Vocabulary
    from simulators.t5.network.config import T5Config


class StepPrinter:
    """Prints to standard output: in colour on a terminal, with [brackets] elsewhere."""

    def __init__(self, pieces: Vocabulary, config: T5Config) -> None:
        from rich.console import Console

        self._console = Console(highlight=False, soft_wrap=True)
        self._pieces = pieces
        self._config = config

    def show(self, number: int, source: Sequence[int], target: Target) -> None:
        """A source, its steps and the translation."""
        from rich.text import Text

        words = self._pieces.decode([source, target.tokens])
        self._console.print(Text(f"{number}  {words[0]}", style="bold"))
        before: Sequence[int] | None = None
        for step, tokens in enumerate(target.history or [], start=1):
            self._console.print(Text(f"  step {step:<2} ").append_text(self._marked(tokens, before)))
            before = tokens
        self._console.print(Text(f"  => {words[1]}"))

    def _marked(self, tokens: Sequence[int], before: Sequence[int] | None) -> Text:
        """Pieces, those that differ from the step before marked; at the first step all are new and none is."""
        from rich.text import Text

        from experiments.translation.samples import changed, written

        terminal = self._console.is_terminal
        line = Text()
        new = set(changed(tokens, before))
        for position, token in enumerate(tokens):
            text = written(token, self._pieces, self._config.vocab_size)
            if position:
                line.append(" ")
            if position in new:
                line.append(text if terminal else f"[{text}]", style="bold reverse")
            else:
                line.append(text)
        return line
