"""The report in a browser: complete, self-contained, readable on a desk and on a phone, printable.

The page is laid out by headless Chromium in frames of 1280 and 390 pixels, whose widths a script reads, and the log of
Chromium's network stack tells what was requested. The frames' page also asks for one image over HTTP: so the log is
known to show what a page requests.
"""

from __future__ import annotations

import html
import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import NamedTuple
from urllib.parse import urlsplit

import pytest

from experiments.claims import MODULES, load
from experiments.formulas import FORMULAS, formula
from experiments.records import compute
from experiments.report import render_report
from theory.parameters import build

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium or Chrome is installed")

CLAIM = load("C8")

FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # No name is ever looked up, whatever asks for it.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)

OWN_HOSTS = (".google.com", ".googleapis.com", ".gstatic.com")
"""What Chromium asks for by itself (updates, the time), with any page."""

PLANTED = "http://127.0.0.1:9/planted.png"

WIDTHS = (1280, 390)

FRAMES = """<!doctype html><meta charset="utf-8"><body><img src="{planted}">{frames}<script>
addEventListener("load", () => {{
  for (const frame of document.querySelectorAll("iframe")) {{
    const page = frame.contentDocument, root = page.documentElement;
    const outside = [...page.querySelectorAll("body *")].filter((element) =>
      !element.closest(".scroll") && element.getBoundingClientRect().right > root.clientWidth + 0.5);
    const blank = [...page.images].filter((image) => !(image.complete && image.naturalWidth > 0));
    const small = [...page.querySelectorAll("p, td, th, figcaption, dd")].filter((element) =>
      element.offsetParent && parseFloat(frame.contentWindow.getComputedStyle(element).fontSize) < 12);
    // The labels of a figure can be read where it has at least 3/4 of its natural width.
    const shrunk = [...page.images].filter((image) => !image.classList.contains("thumb") &&
      !(image.getBoundingClientRect().width >= 0.75 * image.naturalWidth));
    const sideways = [...page.querySelectorAll(".scroll img")];
    const result = document.createElement("pre");
    result.className = "measured";
    result.textContent = [frame.width, root.scrollWidth, root.clientWidth, outside.length, page.images.length,
      blank.length, small.length, shrunk.length, sideways.length].join(" ");
    document.body.append(result);
  }}
}});
</script>"""


class Layout(NamedTuple):
    """What the script measured in one frame: pixels, and numbers of elements."""

    width: int
    content_width: int
    visible_width: int
    outside: int
    images: int
    blank_images: int
    small_texts: int
    shrunk_images: int
    images_moved_sideways: int


def chromium(folder: Path, *arguments: str) -> str:
    command = [str(CHROMIUM), *FLAGS, f"--user-data-dir={folder / 'profile'}", *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=180, check=True).stdout


def requested(log: Path) -> set[str]:
    """Addresses that the page asked the network for."""
    events = json.loads(log.read_text())["events"]
    urls = {e["params"]["url"] for e in events if isinstance(e.get("params"), dict) and "url" in e["params"]}
    outward = {url for url in urls if urlsplit(url).scheme not in {"file", "data", "about", "chrome"}}
    return {url for url in outward if not (urlsplit(url).hostname or "").endswith(OWN_HOSTS)}


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    settings = {"sites": "4", "cliques": "3,4", "couplings": "0.5,1", "large": "20"}
    record = compute(CLAIM, build(CLAIM.parameters, values=settings), 0, "quick")
    path = folder / "report.html"
    path.write_text(render_report([record], "Report of the tests"), encoding="utf-8")
    return path


def test_every_claim_shows_statement_parameters_tables_figures_and_provenance(page: Path, tmp_path: Path) -> None:
    log = tmp_path / "net.json"
    dom = chromium(tmp_path, f"--log-net-log={log}", "--dump-dom", page.as_uri())
    assert requested(log) == set()
    text = html.unescape(re.sub(r"<[^>]+>", " ", dom))
    for wanted in ("C8", "holds", "sech(J", "Checks", "Numbers", "Parameters", "Provenance", "cliques", "numpy"):
        assert wanted in text
    assert len(re.findall(r'<img\s+src="data:image/svg\+xml;base64,', dom)) == len(CLAIM.figures)
    assert len(re.findall(r'<source media="[^"]*" srcset="data:image/svg\+xml;base64,', dom)) == len(CLAIM.figures)
    assert dom.index("what was learned") < dom.index(html.escape(CLAIM.title)) < dom.index("<blockquote>")
    assert '<img class="thumb" src="data:image/png;base64,' in dom
    assert '<a href="https://arxiv.org/abs/2407.21046">' in dom
    assert '<a class="back" href="#top">' in dom
    assert "Quick profile" in text
    assert re.search(r'<math[^>]*display="block"', dom)
    assert re.search(r"commit.*code digest", text, re.DOTALL)


@pytest.mark.parametrize("claim", FORMULAS)
def test_formulas_are_set_whole(claim: str) -> None:
    assert claim in MODULES
    made = formula(claim)
    assert made.startswith("<math")
    assert "\\" not in html.unescape(made)


def test_it_is_laid_out_for_a_desk_and_for_a_phone(page: Path, tmp_path: Path) -> None:
    content = html.escape(page.read_text(encoding="utf-8"), quote=True)
    frames = "".join(f'<iframe width="{width}" height="900" srcdoc="{content}"></iframe>' for width in WIDTHS)
    wrapper, log = tmp_path / "frames.html", tmp_path / "net.json"
    wrapper.write_text(FRAMES.format(planted=PLANTED, frames=frames), encoding="utf-8")
    dom = chromium(tmp_path, f"--log-net-log={log}", "--dump-dom", wrapper.as_uri())
    assert requested(log) == {PLANTED}
    found = [Layout(*map(int, text.split())) for text in re.findall(r'<pre class="measured">([\d ]+)</pre>', dom)]
    assert [layout.width for layout in found] == list(WIDTHS)
    for layout in found:
        assert layout.content_width <= layout.visible_width <= layout.width
        assert layout.outside == 0
        assert (layout.images, layout.blank_images) == (len(CLAIM.figures) + 1, 0)
        assert layout.small_texts == 0
        assert layout.shrunk_images == 0
        assert layout.images_moved_sideways == 0


def test_it_prints(page: Path, tmp_path: Path) -> None:
    target = tmp_path / "report.pdf"
    chromium(tmp_path, f"--print-to-pdf={target}", "--no-pdf-header-footer", page.as_uri())
    content = target.read_bytes()
    assert content.startswith(b"%PDF-")
    pages = max(int(number) for number in re.findall(rb"/Count (\d+)", content))
    assert 1 <= pages <= 3
