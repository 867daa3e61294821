"""Mathematics in pages, set when the site is built, so that a browser needs no script and no network for it.

Two notations come in. Hand-written pages have LaTeX, which becomes MathML (latex2mathml). Docstrings, statements of
claims and help texts have plain text with Unicode letters, such as ``C_AT``, ``x_{-K}`` or ``q**N``; its indices and
powers are raised and lowered, and the rest is left as it is.
"""

from __future__ import annotations

import html
import re

_ARITHMATEX = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', re.S)

_TAG = re.compile(r"(<[^>]*>)")

_AS_IT_IS = ("code", "pre", "script", "style", "math", "svg")

_OPERATORS = "KL|TV|TC|Var|Cov|sum|prod|max|min|inf|sup|ln|tr"

_GREEK = {
    "theta": "θ",
    "beta": "β",
    "delta": "δ",
    "eps": "ε",
    "lambda": "λ",
    "Omega": "Ω",
    "pi": "π",
    "eta": "η",
    "alpha": "α",
    "sum": "Σ",
    "prod": "Π",
}

_SIGNS = {" || ": " ‖ ", "&lt;=": "≤", "&gt;=": "≥", "-&gt;": "→", " ~ ": " ∼ "}
"""As they stand in HTML."""

# A letter or an operator, then an index in braces or a short one; a longer word is a name of the code.
_INDEX = re.compile(
    rf"(?<![\w.`])((?:[^\W\d_]|{_OPERATORS}|{'|'.join(_GREEK)})[̂~′]?)_(\{{[^{{}}]*\}}|[−-]?[A-Za-z0-9Ͱ-Ͽ]{{1,5}}\*?)(?!\w)"
)
_POWER = re.compile(r"(?<=[\w)\]}>])(?:\^|\*\*)(\{[^{}]*\}|\([^()]*\)|[−-]?(?:\d+(?:\.\d+)?|[A-Za-z0-9Ͱ-Ͽ]+|\*))")


def formulas(page: str) -> str:
    """A page with its LaTeX as MathML.

    Raises:
        ValueError: a command that latex2mathml does not know, which would be shown as it stands.
    """
    return _ARITHMATEX.sub(_mathml, page)


def _mathml(match: re.Match[str]) -> str:
    from latex2mathml.converter import convert

    latex = html.unescape(match[2]).strip()[2:-2]
    made: str = convert(latex, display="block" if match[1] == "div" else "inline")
    if "\\" in html.unescape(made):
        raise ValueError(f"a formula has a command without MathML: {latex}")
    return made


def notation(page: str) -> str:
    """A page whose plain mathematics outside code has indices below and powers above the line."""
    parts, closed_by = [], ""
    for part in _TAG.split(page):
        if part.startswith("<"):
            name = re.match(r"</?(\w*)", part)
            word = name[1] if name else ""
            if not closed_by and word in _AS_IT_IS and not part.startswith("</"):
                closed_by = f"</{word}>"
            elif part == closed_by:
                closed_by = ""
        elif not closed_by:
            part = _set(part)
        parts.append(part)
    return "".join(parts)


def _set(text: str) -> str:
    for plain, sign in _SIGNS.items():
        text = text.replace(plain, sign)
    text, before = re.sub(r"\bOmega\b", "Ω", text), ""
    while text != before:  # an index in braces may hold another
        before = text
        text = _INDEX.sub(lambda found: f"{_letters(found[1])}<sub>{_letters(_bare(found[2]))}</sub>", text)
    return _POWER.sub(lambda found: f"<sup>{_letters(_bare(found[1]))}</sup>", text)


def _bare(index: str) -> str:
    return index[1:-1] if index[:1] in "{(" else index


def _letters(text: str) -> str:
    return re.sub(r"[A-Za-z]+", lambda word: _GREEK.get(word[0], word[0]), text).replace("-", "−")
