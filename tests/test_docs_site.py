"""The documentation site: built strictly, whole, without the network; its live page in headless Chromium."""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import gmlm
from experiments.claims import MODULES, load
from experiments.documentation import atlas, contact_sheet, typesetting
from experiments.documentation.face import path_of
from experiments.documentation.markdown import escaped, prose, sections
from experiments.files import write_json
from experiments.records import compute, folder
from theory.decoding import RULES
from theory.errors import InvalidInput
from theory.parameters import build

ROOT = Path(__file__).parents[1]
CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
EXTRA = "the site needs the extra docs"


@pytest.fixture(scope="session")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the built site."""
    for package in ("mkdocs", "material", "mkdocstrings", "nbconvert", "latex2mathml", "plotly"):
        pytest.importorskip(package, reason=EXTRA)
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    os.environ["NO_MKDOCS_2_WARNING"] = "1"
    target = tmp_path_factory.mktemp("site")
    config = load_config(str(ROOT / "mkdocs.yml"), site_dir=str(target), strict=True)
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    config.plugins.on_shutdown()
    return target


def text(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def test_every_name_claim_rule_and_notebook_has_its_place(site: Path) -> None:
    python = "".join(text(page) for page in (site / "reference" / "python").glob("*.html"))
    for home, names in gmlm.HOMES.items():
        for name in names:
            assert f'id="{path_of(home, name)}"' in python, name
    assert python.count(">Example<") == len(gmlm.__all__)
    assert {page.stem for page in (site / "reference" / "claims").glob("*.html")} == {*MODULES, "index"}
    assert {page.stem for page in (site / "reference" / "decoders").glob("*.html")} == {*RULES, "index"}
    assert len(list((site / "tutorials").glob("*.html"))) == len(list((ROOT / "notebooks").glob("*.ipynb"))) + 1


def test_pages_load_nothing_from_elsewhere(site: Path) -> None:
    for page in site.rglob("*.html"):
        loaded = re.findall(
            r"<(?:script|img|iframe)[^>]* src=\"(https?:[^\"]*)|<link[^>]*stylesheet[^>]* href=\"(https?:[^\"]*)",
            text(page),
        )
        assert not loaded, f"{page.name}: {loaded}"


def test_formulas_are_mathml(site: Path) -> None:
    page = text(site / "explanation" / "paper.html")
    assert page.count("<math") > 10
    assert 'class="arithmatex"' not in page
    assert "x<sub>C</sub>" in text(site / "reference" / "claims" / "C8.html")


def test_notation_leaves_names_of_the_code_alone() -> None:
    assert typesetting.notation("<p>p(x_K | x_{-K}), q**N, C_AT</p>") == (
        "<p>p(x<sub>K</sub> | x<sub>−K</sub>), q<sup>N</sup>, C<sub>AT</sub></p>"
    )
    assert typesetting.notation("E_{(K, x_{-K})} f &lt;= 1") == "E<sub>(K, x<sub>−K</sub>)</sub> f ≤ 1"
    for kept in (
        "masks_per_sample and block_gibbs",
        "<code>x_K</code>",
        "<pre>q**N <span>x_i</span></pre>",
        "2 * 3, Omega",
    ):
        assert typesetting.notation(kept) == kept.replace("Omega", "Ω")


def test_a_formula_that_cannot_be_set_is_an_error() -> None:
    pytest.importorskip("latex2mathml", reason=EXTRA)
    with pytest.raises(ValueError, match="without MathML"):
        typesetting.formulas(r'<span class="arithmatex">\(\nosuchcommand{x}\)</span>')


def test_markdown_is_shown_as_it_stands() -> None:
    assert prose("A law.\n\n    p < 1\n\nThe least of\n- a;\n- b.") == (
        'A law.\n\n<div class="formula">p &lt; 1</div>\n\nThe least of\n\n- a;\n- b.\n'
    )
    assert escaped("a_b *c* `d_e`") == r"a\_b \*c\* `d_e`"
    assert sections("# T\n\n## A\n\nx\n\n## B\n\ny\n") == {"A": "x", "B": "y"}


def test_the_contact_sheet_has_every_figure_of_the_records(tmp_path: Path) -> None:
    claim = load("C8")
    parameters = build(claim.parameters, values={"sites": 4, "cliques": (4,), "couplings": (1.0,), "large": (20,)})
    results, docs = tmp_path / "results", tmp_path / "docs"
    write_json(folder(results, claim) / "record.json", compute(claim, parameters, 0, "quick"))
    stale = docs / "figures" / "C8-gone.webp"
    stale.parent.mkdir(parents=True)
    stale.touch()
    with pytest.raises(InvalidInput, match="records that can be drawn"):
        contact_sheet.main(tmp_path / "nowhere", docs)
    assert stale.exists()
    contact_sheet.main(results, docs)
    assert {file.name for file in stale.parent.iterdir()} == {f"C8-{spec.name}.webp" for spec in claim.figures}
    page = text(docs / "reference" / "figures.md")
    assert all(f"../figures/C8-{spec.name}.webp" in page for spec in claim.figures)


def test_the_atlas_keeps_the_numbers_of_decode() -> None:
    options = "--sites 3 --calls 1,3"
    kept = atlas.entry("small", options, atlas.decoded(options, "llada"))
    assert [(row["decoder"], row["calls"]) for row in kept["rows"]] == [("llada", 1), ("llada", 3)]
    law = gmlm.ising_on(gmlm.named_graph("cycle", 3), coupling=0.5)
    output = gmlm.decode(gmlm.ConditionalTables(gmlm.TableConditionals(law)), gmlm.parse("llada"), 3).law
    value, kind, low, high = kept["rows"][1]["kl"]
    assert kind == "exact"
    assert low == value == high == pytest.approx(gmlm.divergences(law, output).kl, rel=1e-4)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    if CHROMIUM is None:
        pytest.skip("there is no Chromium here")
    api = pytest.importorskip("playwright.sync_api", reason=EXTRA)
    with api.sync_playwright() as play:
        opened = play.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"])
        yield opened
        opened.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_the_atlas_is_alive(site: Path, browser: Any, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    troubles: list[str] = []
    page.on("console", lambda message: troubles.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: troubles.append(str(error)))
    page.on("request", lambda request: troubles.append(request.url) if request.url.startswith("http") else None)
    page.goto(f"file://{site}/atlas.html")
    page.wait_for_selector("#atlas-decoder-plot .main-svg")
    lines = "document.querySelector('#atlas-decoder-plot').data.map(line => line.name)"
    first = page.evaluate(lines)
    assert {"confidence", "llada", "random-order"} <= set(first)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.select_option("#atlas-law", label="Markov chain, 32 sites")
    page.select_option("#atlas-measure", "reverse_kl")
    page.select_option("#atlas-calls", "calls")
    page.select_option("#atlas-most", "8")
    page.uncheck("#atlas-decoders input[value=llada]")
    assert "llada" not in page.evaluate(lines)
    assert "Markov chain, 32 sites: KL(q‖p)" in page.text_content("#atlas-decoder-plot .gtitle")
    assert max(page.evaluate("document.querySelector('#atlas-decoder-plot').data.flatMap(line => line.x)")) <= 8
    hover = page.evaluate("document.querySelector('#atlas-decoder-plot').data[0].text[0]")
    assert all(words in hover for words in ("KL(p‖q)", "KL(q‖p)", "total variation"))
    assert re.search(r"\((exact|unbiased|upper|lower)", hover)
    assert page.inner_text("#atlas-numbers tbody tr")
    bounds = json.loads(text(ROOT / "docs" / "data" / "bounds.json"))["bounds"]
    drawn = page.evaluate("document.querySelector('#atlas-bound-plot').data[0].y")
    assert set(drawn) == {bound["bound"] for bound in bounds}
    assert not troubles
    page.close()


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_fit_their_window_and_the_search_works_from_files(site: Path, browser: Any, width: int) -> None:
    page = browser.new_page(viewport={"width": width, "height": 900})
    for name in (
        "index",
        "first-ten-minutes/theorist",
        "explanation/paper",
        "reference/claims/C8",
        "reference/python/theory-laws",
    ):
        page.goto(f"file://{site}/{name}.html")
        assert page.evaluate("document.documentElement.scrollWidth") <= width, name
    page.keyboard.press("/")
    page.keyboard.type("treedepth")
    page.wait_for_selector(".md-search-result__item", state="attached")
    page.close()
