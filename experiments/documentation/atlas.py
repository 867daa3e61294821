"""The atlas of decoders: what each rule does to each of some laws, stored as plain data and drawn by the live page.

    python -m experiments.documentation.atlas docs/data/decoders.json

runs ``gmlm decode`` on every law of `LAWS` and keeps of each record what the page shows:

    made        version, date and seed
    laws        list: name, sites, symbols, entropy (nats), command, and rows
    rows        list: decoder, calls asked for, expected calls, and per divergence [value, kind, low, high]
                (nats for the whole sequence; null where there is none), or the reason why there is none

``kind`` is exact, unbiased, upper or lower; low and high are the ends of a 95% interval, equal where it is exact.
"""

from __future__ import annotations

import json
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from experiments.documentation.command import run
from experiments.files import write_atomically
from theory.errors import InvalidInput

LAWS = {
    "Ising ring, 6 sites": "--model ising --sites 6 --coupling 0.5 --field 0.1 --calls 1,2,3,6",
    "Markov chain, 6 sites": "--model markov --sites 6 --symbols 3 --coupling 1.5 --calls 1,2,3,6",
    "Strong clique, 6 sites": "--model strong-clique --sites 6 --coupling 1 --calls 1,2,3,6",
    "Hidden topic, 6 sites": "--model topic --sites 6 --symbols 3 --calls 1,2,3,6",
    "Copied half, 6 sites": "--model copying --sites 6 --symbols 3 --calls 1,2,3,6",
    "Matching brackets, 6 sites": "--model brackets --sites 6 --calls 1,2,3,6",
    "Urn, 6 sites": "--model urn --sites 6 --symbols 3 --calls 1,2,3,6",
    "Markov chain, 32 sites": "--model markov --sites 32 --symbols 3 --coupling 1.5 --calls 2,4,8,16,32",
    "Hidden topic, 32 sites": "--model topic --sites 32 --symbols 4 --calls 2,4,8,16,32",
    "Copied half, 32 sites": "--model copying --sites 32 --symbols 3 --calls 2,4,8,16,32",
    "Urn, 32 sites": "--model urn --sites 32 --symbols 3 --calls 2,4,8,16,32",
}
"""Name on the page -> options of ``gmlm decode``, which decodes each law with every rule."""

NUMBERS = ("kl", "reverse_kl", "total_variation")

SEED = 0

SHOWN = ("decoders", "bounds")
"""The files of data that the page draws; the second is that of `experiments.tightness.atlas`."""


def decoded(options: str, decoder: str = "all") -> dict[str, Any]:
    """The record that ``gmlm decode`` prints."""
    words = ["decode", *options.split(), "--decoder", decoder, "--seed", str(SEED), "--json"]
    done = subprocess.run(
        [sys.executable, "-c", "from experiments.cli import main; main()", *words],
        stdout=subprocess.PIPE,
        check=True,
        text=True,
    )
    return dict(json.loads(done.stdout))


def entry(name: str, options: str, record: dict[str, Any]) -> dict[str, Any]:
    """What the page shows of a record."""
    return {
        "name": name,
        "command": f"gmlm decode {options} --decoder all --seed {SEED}",
        **{key: record[key] for key in ("sites", "symbols", "entropy")},
        "rows": [
            {
                "decoder": row["decoder"],
                "calls": row["calls"],
                "expected": _rounded(row["expected_calls"]),
                **{number: _number(row[number]) for number in NUMBERS},
                "reason": row["reason"],
            }
            for row in record["decoders"]
        ],
    }


def _number(found: dict[str, Any] | None) -> list[Any] | None:
    if found is None:
        return None
    low, high = found["interval"]
    return [_rounded(found["value"]), found["kind"], _rounded(low), _rounded(high)]


def _rounded(value: Any) -> Any:
    """Five digits, as many as a page can show; what JSON has no number for stays text, as in the record."""
    return float(f"{value:.5g}") if isinstance(value, float) else value


def scripts(data: Path) -> dict[str, bytes | str]:
    """The scripts of the live page: the stored data, which a page opened from a file could not fetch, and plotly."""
    from plotly.offline import get_plotlyjs

    files = [file for name in SHOWN if (file := data / f"{name}.json").exists()]
    stored = {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}
    return {
        "assets/atlas-data.js": f"window.GMLM_ATLAS = {json.dumps(stored, ensure_ascii=False)};\n",
        "assets/plotly.min.js": get_plotlyjs(),
    }


def main(target: Path) -> None:
    """Decode every law and write the file.

    Raises:
        InvalidInput: a file in no folder, told before anything is decoded.
    """
    if not target.parent.is_dir():
        raise InvalidInput("FILE.json", str(target), "a file in a folder that is there")
    laws = []
    for done, (name, options) in enumerate(LAWS.items()):
        print(f"{done}/{len(LAWS)}  {name}", file=sys.stderr)
        laws.append(entry(name, options, decoded(options)))
    made = {"version": version("gmlm-workbench"), "date": f"{datetime.now(UTC):%Y-%m-%d}", "seed": SEED}
    write_atomically(target, (json.dumps({"made": made, "laws": laws}, ensure_ascii=False) + "\n").encode())


if __name__ == "__main__":
    run(main, "FILE.json")
