"""Laws and chains from files: tables, Ising models, networks whose sites have names, transition matrices.

*Tables* and the *couplings* and fields of an Ising model are ``.npy`` arrays.

*Transition matrices*: ``.npy`` holds a row-stochastic array; ``.npz`` holds one too, or a sparse matrix as
`scipy.sparse.save_npz` writes it.

*Networks*: an Ising model with a site for each node. In an edge list every line names two nodes and, optionally, the
coupling of their edge, separated by spaces, tabs or commas; ``#`` begins a comment. In GraphML an edge may carry
``coupling`` (or ``weight``) and a node ``field``. What a file does not say has the value given with it.
"""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Iterable, Mapping, Sequence, Set
from pathlib import Path
from typing import Any, NamedTuple

import networkx as nx
import numpy as np

from experiments.chains.law_files import LawFiles
from experiments.chains.model_spec import ModelSpec
from experiments.chains.models import load_ising, used_fields
from theory.chains import DenseOperator, SparseOperator
from theory.chains.operator import MatrixOperator
from theory.errors import InvalidInput
from theory.files import read_regular, read_text
from theory.laws import IsingLaw, JointLaw, ising, load_table, open_numbers
from theory.memory import require_memory
from theory.parameters import describe

LARGEST_NETWORK = 2**24
"""Bytes of a network file; a larger one has more nodes than any exact method takes."""

SYMBOLS = {2: "-+"}
"""How the symbols of an Ising spin are written."""


SAMPLER = ("sampler", "k", "masks", "temperature")
"""What makes a chain of a law."""


def source_of(files: LawFiles) -> str | None:
    """The name of the file that stands for the law or the chain; None where a model does."""
    return next((name for name in ("table", "couplings", "edges", "transition") if getattr(files, name, "")), None)


def refuse_without_effect(
    files: LawFiles, values: Mapping[str, Any], given: Set[str], *, seeded: bool = False, flag: str = ""
) -> None:
    """An option that would be read and not used is a misunderstanding: say so.

    Args:
        files: what stands for a law.
        values: every parameter of the chain by name.
        given: names of those that were chosen.
        seeded: whether the seed is also used for other things than the law.
        flag: how names are written, before the name itself, in messages.

    Raises:
        InvalidInput: two files in place of one, or a value that makes no difference beside what else is given.
    """
    known = describe(type(files))  # type: ignore[arg-type]  # a class is hashable
    named = [name for name, declared in known.items() if declared.rule.file and getattr(files, name)]
    sources = [name for name in named if name != "fields"]
    refuse_two(sources, vars(files), flag)
    for name, needed in (("fields", "couplings"), ("normalise", "transition")):
        if getattr(files, name, "") and not getattr(files, needed):
            raise InvalidInput(flag + name, getattr(files, name), f"goes with {flag}{needed}")
    used = {"coupling", "field"} if sources == ["edges"] else set()
    why = f"with {flag}{sources[0]}" if sources else f"on the model {values['model']}"
    if not sources:
        used = {"model", *used_fields(values["model"], values["graph"])}
    if sources != ["transition"]:
        used.update(SAMPLER)
    if seeded:
        used.add("seed")
    refuse_unused((*describe(ModelSpec), *SAMPLER), given, used, values, why, flag)


def refuse_two(sources: Sequence[str], values: Mapping[str, Any], flag: str = "") -> None:
    """One source at most.

    Raises:
        InvalidInput: two are named.
    """
    if len(sources) > 1:
        raise InvalidInput(flag + sources[0], str(values[sources[0]]), f"give either it or {flag}{sources[1]}")


def refuse_unused(
    names: Iterable[str], given: Set[str], used: Set[str], values: Mapping[str, Any], why: str, flag: str = ""
) -> None:
    """Every name that was given is used.

    Raises:
        InvalidInput: one is not; ``why`` says beside what.
    """
    for name in names:
        if name in given and name not in used:
            value = values[name]
            shown = str(value) if isinstance(value, Path) else value
            raise InvalidInput(flag + name, shown, f"has no effect {why}; leave it out")


def law_from_files(files: LawFiles, coupling: float, field: float) -> tuple[JointLaw, list[str] | None]:
    """The law that a file stands for, and the names of its sites where it has some.

    Args:
        files: with a table, couplings or edges.
        coupling, field: of edges and nodes for which a network names none.

    Raises:
        InvalidInput: a file that is missing or damaged, or holds no law.
        ExceedsMemory: the law would not fit.
    """
    if files.table:
        return load_table(files.table), None
    if files.couplings:
        return load_ising(Path(files.couplings), Path(files.fields) if files.fields else None), None
    return load_network(Path(files.edges), coupling, field)


class LawSize(NamedTuple):
    """What is known of a law before it is built.

    Attributes:
        sites, symbols: N and q.
        positive: whether every sequence has a positive probability.
    """

    sites: int
    symbols: int
    positive: bool

    @property
    def states(self) -> int:
        """S = q^N."""
        return self.symbols**self.sites


def size_from_files(files: LawFiles) -> LawSize:
    """The size of the law that a file stands for; the law is not built.

    Raises:
        InvalidInput: as `law_from_files`, where the beginning of the file tells.
    """
    if files.table:
        stored = open_numbers(files.table, "table")
        return LawSize(stored.ndim, max(stored.shape, default=0), bool((stored > 0).all()))
    if files.couplings:
        stored = open_numbers(files.couplings, "couplings")
        return LawSize(max(stored.shape, default=0), 2, True)
    return LawSize(len(_read_network(Path(files.edges), f"edges file {files.edges}")), 2, True)


def load_transition(path: Path, normalise: bool = False) -> MatrixOperator:
    """The chain whose matrix is stored in a file.

    Args:
        path: ``.npy`` or ``.npz``.
        normalise: divide every row by its sum, whatever that is.

    Raises:
        InvalidInput: no such file, another format, a damaged file, or no matrix of transition probabilities.
        ExceedsMemory: the matrix would not fit.
    """
    if path.suffix not in {".npy", ".npz"}:
        raise InvalidInput(f"transition file {path}", path.suffix or "no extension", "a .npy or .npz file is needed")
    if path.suffix == ".npy":
        stored: Any = open_numbers(path, "transition")
        require_memory(2.0 * 8 * stored.size, "transition", str(path), "the transition matrix")
    else:
        stored = _open_archive(path)
    try:
        kind = DenseOperator if isinstance(stored, np.ndarray) else SparseOperator
        return kind(stored, normalise=normalise)
    except InvalidInput as error:
        remedy = error.allowed.replace("give DenseOperator(matrix, normalise=True)", "add --normalise")
        raise InvalidInput(f"{error.argument} in {path}", error.value, remedy) from None


def _open_archive(path: Path) -> Any:
    named = f"transition file {path}"
    if not path.is_file():
        raise InvalidInput(named, "missing", "there is no such file")
    try:
        content = read_regular(path)
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            names = {entry.filename.removesuffix(".npy") for entry in archive.infolist()}
            unpacked = sum(entry.file_size for entry in archive.infolist())
        require_memory(3.0 * unpacked, "transition", str(path), "the transition matrix")
        if {"format", "shape", "data"} <= names:
            from scipy.sparse import load_npz

            return load_npz(io.BytesIO(content))
        if len(names) != 1:
            raise InvalidInput(named, f"{len(names)} arrays", "one array, or one sparse matrix of scipy, is needed")
        with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
            return arrays[next(iter(names))]
    except InvalidInput:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, NotImplementedError, TypeError) as error:
        raise InvalidInput(named, "unreadable", f"not a readable .npz file ({error})") from None


def load_network(path: Path, coupling: float, field: float) -> tuple[IsingLaw, list[str]]:
    """The Ising model on a network, and the names of its sites in their order.

    Args:
        path: an edge list, or GraphML where the name ends in ``.graphml``.
        coupling, field: where the file names none.

    Raises:
        InvalidInput: no such file, a file that cannot be read, a coupling that is no number, an edge from a node to
            itself or given twice, or no edge at all.
        ExceedsMemory: the law would not fit.
    """
    named = f"edges file {path}"
    graph = _read_network(path, named)
    names = [str(node) for node in graph]
    position = {node: index for index, node in enumerate(graph)}
    couplings = np.zeros((len(names), len(names)))
    for left, right, values in graph.edges(data=True):
        if left == right:
            raise InvalidInput(named, f"an edge from {left} to itself", "edges join two different nodes")
        strength = _number(values.get("coupling", values.get("weight", coupling)), named)
        couplings[position[left], position[right]] = couplings[position[right], position[left]] = strength
    fields = [_number(values.get("field", field), named) for _, values in graph.nodes(data=True)]
    return ising(couplings, fields, f"Ising model on {path.name}"), names


def _read_network(path: Path, named: str) -> nx.Graph:
    text = read_text(path, "edges file", LARGEST_NETWORK)
    graph = _graphml(text, named) if path.suffix == ".graphml" else _edge_list(text, named)
    if not graph.number_of_edges():
        raise InvalidInput(named, "no edge", "at least one line with two nodes is needed")
    return graph


def _edge_list(text: str, named: str) -> nx.Graph:
    graph = nx.Graph()
    for number, line in enumerate(text.splitlines(), 1):
        parts = line.partition("#")[0].replace(",", " ").split()
        if not parts:
            continue
        if len(parts) not in (2, 3):
            raise InvalidInput(f"{named}, line {number}", line.strip(), "two nodes and perhaps a coupling are needed")
        if graph.has_edge(parts[0], parts[1]):
            raise InvalidInput(f"{named}, line {number}", line.strip(), "this edge was given before")
        graph.add_edge(parts[0], parts[1], **({"coupling": parts[2]} if len(parts) == 3 else {}))
    return graph


def _graphml(text: str, named: str) -> nx.Graph:
    from xml.etree.ElementTree import ParseError

    try:
        graph = nx.parse_graphml(text)
    except (ParseError, nx.NetworkXError, ValueError, KeyError, TypeError) as error:
        raise InvalidInput(named, "unreadable", f"not GraphML ({error})") from None
    if graph.is_directed() or graph.is_multigraph():
        raise InvalidInput(named, "directed or repeated edges", "one undirected edge between two nodes is needed")
    return graph


def _number(value: Any, named: str) -> float:
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise InvalidInput(named, value, "couplings and fields are finite numbers")
    return number


def name_of_state(state: int, sites: int, symbols: int, names: Sequence[str] | None = None) -> str:
    """A sequence in signs: ``+ + - -`` for two symbols, the numbers of the symbols otherwise; ``ann+ bob-`` with names
    of the sites."""
    digits = np.base_repr(state, symbols) if symbols <= 36 else None
    if digits is None or sites > 64:
        return f"sequence {state}"
    signs = SYMBOLS.get(symbols, "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ")
    labels = [""] * sites if names is None else names
    return " ".join(label + signs[int(digit, 36)] for label, digit in zip(labels, digits.zfill(sites), strict=True))
