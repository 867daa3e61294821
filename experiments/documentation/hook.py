"""The hook of MkDocs: adds the pages that are made, and typesets the mathematics of all.

Named by ``hooks`` in ``mkdocs.yml``; the functions are MkDocs' events. Nothing is fetched, neither here nor by the
pages: formulas are MathML, and the one library of a page, plotly, is copied from its package.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from experiments.documentation import typesetting
from experiments.documentation.pages import PAGES, assets, under

if TYPE_CHECKING:
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files
    from mkdocs.structure.pages import Page


def on_config(config: MkDocsConfig) -> None:
    """Put the made pages where the navigation names their folder."""
    config.nav = _expanded(config.nav)


def _expanded(nav: Any) -> Any:
    if isinstance(nav, list):
        return [
            part
            for entry in nav
            for part in (under(entry) if isinstance(entry, str) and entry.endswith("/") else [_expanded(entry)])
        ]
    return {title: _expanded(entry) for title, entry in nav.items()} if isinstance(nav, dict) else nav


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the made pages, the pictures of notebooks, and the scripts of the live page."""
    from mkdocs.structure.files import File

    for path, make in PAGES.items():
        files.append(File.generated(config, path, content=make()))
    for path, content in assets().items():
        files.append(File.generated(config, path, content=content))
    return files


def on_page_content(html: str, page: Page, **_: Any) -> str:
    """Typeset formulas everywhere, and the plain notation of docstrings and statements in the reference."""
    html = typesetting.formulas(html)
    return typesetting.notation(html) if page.file.src_uri.startswith("reference/") else html
