"""Decoding and training of the T5 beside transformers and CTranslate2, and refinement beside our own greedy decoder.

    python benchmarks/t5.py [--batch 1,8,64] [--steps 1,2,4,8] [--rounds 9] [--threads 2] [--size small] [--alone]
        [--basic] [--training] [--int8] [--figure FILE]

All networks have the same random float32 weights. ``--size small``: width 256, feed-forward 512, 4 heads of 64, 4 + 4
layers, 8,192 pieces; ``base``: those of T5 v1.1 base, 768, 2,048, 12 heads of 64, 12 + 12, 32,128. Sources and targets
have 32 tokens; EOS is put off to the last, so that every method does the same work. The token sequences of the peers
are compared with ours ("same tokens").

Methods are timed in turn, one call each, over and over; a ratio is the median over the rounds of (its baseline's
milliseconds / its own), so that a load that comes and goes hits both. Greedy decoding is compared with each peer,
refinement with our own greedy decoder, which is the honest baseline. ``processor`` is the median processor time, all
threads summed; compare it where the machine is busy. All methods run on the same ``--threads`` processors.

Refinement rows: plain (all T passes), "early exit" (a sentence stops at its fixed point; the mean number of passes
depends on the network, here a random one, and is printed), "partial logits" (mask-predict of rejected positions: after
the first pass only these get logits), "shortlist" (after the first pass only its 256 likeliest pieces of the sentence
get logits), "1 layer" (a decoder of one layer, for both decoders). ``--basic`` leaves the last four out, ``--alone``
the peers; with ``--int8`` CTranslate2 computes in int8 too, where its tokens may differ from ours. ``--training`` times
a training step (gradient and Adam update, batch of the largest size, dropout 0.1) against torch.

At the end all is printed as one table in Markdown: milliseconds a sentence, and in brackets how many times as fast as
our greedy decoder, on the clock and by processor time.

Where JAX sees a GPU, everything runs there, transformers too if its torch can; CTranslate2 stays on the processor and
is left out. Matrix products are then TF32 in both, so that the same tokens are not to be expected.
"""

from __future__ import annotations

import argparse
import copy
import multiprocessing
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

LENGTH = 32
SIZES = {
    "small": {"vocab_size": 8192, "d_model": 256, "d_kv": 64, "d_ff": 512, "num_heads": 4, "num_layers": 4},
    "base": {"vocab_size": 32128, "d_model": 768, "d_kv": 64, "d_ff": 2048, "num_heads": 12, "num_layers": 12},
}
OURS = "greedy"
SHORTLIST = 256
"""Pieces of a sentence among which later passes choose."""


class Method(NamedTuple):
    """One way to decode a batch; ``call`` returns target ids, or None where they are not to be compared.

    ``clock`` tells the processor time so far, in seconds, of the process that works.
    """

    name: str
    call: Callable[[], Any]
    baseline: str | None = None
    note: str = ""
    clock: Callable[[], float] = time.process_time


class Timing(NamedTuple):
    """Milliseconds of each round, wall clock and processor."""

    wall: list[float]
    processor: list[float]


def in_turn(methods: list[Method], rounds: int) -> dict[str, Timing]:
    """Time every method once a round, after a call that compiles and warms up."""
    for method in methods:
        method.call()
    found = {method.name: Timing([], []) for method in methods}
    for turn in range(rounds):
        # Another one goes first in each round, so that none always follows the same neighbour.
        first = turn % len(methods)
        for method in methods[first:] + methods[:first]:
            processor, start = method.clock(), time.perf_counter()
            method.call()
            found[method.name].wall.append(1000 * (time.perf_counter() - start))
            found[method.name].processor.append(1000 * (method.clock() - processor))
    return found


def ratio(baseline: list[float], own: list[float]) -> float:
    return statistics.median(theirs / ours for theirs, ours in zip(baseline, own, strict=True))


def row(batch: int, name: str, timing: Timing) -> str:
    return f"{batch:>5}  {name:<24}{statistics.median(timing.wall):>10.1f}{statistics.median(timing.processor):>11.1f}"


def make_network(size: str, decoder_layers: int | None = None) -> Any:
    """Our autoregressive network with random weights; as many decoder layers as encoder layers by default."""
    from flax import nnx

    from simulators.t5.network.config import T5Config
    from simulators.t5.network.network import T5

    sizes = SIZES[size]
    layers = decoder_layers or sizes["num_layers"]
    config = T5Config(**sizes, num_decoder_layers=layers, max_target_length=LENGTH)  # type: ignore[arg-type]
    return T5(config, nnx.Rngs(0))


def torch_network(network: Any, folder: str) -> Any:
    """The same weights in transformers, or None where it is absent."""
    try:
        import torch
        import transformers
    except ImportError as missing:
        print(f"transformers is left out: {missing}")
        return None
    from simulators.t5.files.checkpoints import save_checkpoint

    torch.set_num_threads(len(os.sched_getaffinity(0)))
    if torch_device() != "cpu":
        torch.set_float32_matmul_precision("high")
    transformers.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    save_checkpoint(network, folder)
    return transformers.T5ForConditionalGeneration.from_pretrained(folder).eval().to(torch_device())


def torch_device() -> str:
    """Where torch computes: where JAX does, if it can."""
    import jax
    import torch

    return "cuda" if jax.default_backend() == "gpu" and torch.cuda.is_available() else "cpu"


class Ctranslate2:
    """The same weights in CTranslate2, in a process of its own: several translators in one slow each other down.

    Piece i is called "i".
    """

    def __init__(self, torch_model: Any, folder: Path, compute_type: str) -> None:
        from ctranslate2.converters.transformers import T5Loader

        pieces = {str(index): index for index in range(torch_model.config.vocab_size)}
        tokenizer = SimpleNamespace(
            pad_token="0", eos_token="1", unk_token="2", get_vocab=lambda: pieces, convert_ids_to_tokens=str
        )
        with torch_inference():
            # A copy: quantisation writes into the weights that it is given.
            specification = T5Loader()(copy.deepcopy(torch_model), tokenizer)
        specification.validate()
        specification.optimize(compute_type)
        folder.mkdir()
        specification.save(str(folder))
        self.name = f"CTranslate2 {compute_type}"
        processes = multiprocessing.get_context("spawn")
        self._here, there = processes.Pipe()
        arguments = (there, str(folder), compute_type, len(os.sched_getaffinity(0)))
        processes.Process(target=serve_ctranslate2, args=arguments, daemon=True).start()

    def __call__(self, words: list[list[str]]) -> Any:
        return self._ask(words)

    def clock(self) -> float:
        return float(self._ask(None))

    def _ask(self, question: Any) -> Any:
        self._here.send(question)
        return self._here.recv()


def serve_ctranslate2(connection: Any, folder: str, compute_type: str, threads: int) -> None:
    """Translate every batch that comes; say the processor time so far where nothing comes."""
    import ctranslate2

    translator = ctranslate2.Translator(
        folder, device="cpu", compute_type=compute_type, inter_threads=1, intra_threads=threads
    )
    while True:
        try:
            words = connection.recv()
        except EOFError:
            return
        if words is None:
            connection.send(time.process_time())
            continue
        length = {"max_decoding_length": LENGTH, "min_decoding_length": LENGTH}
        results = translator.translate_batch(words, beam_size=1, **length)
        connection.send([[int(word) for word in result.hypotheses[0]] for result in results])


def torch_inference() -> Any:
    import torch

    return torch.inference_mode()


def ctranslate2_translators(torch_model: Any, folder: Path, int8: bool) -> list[Ctranslate2]:
    """One for each type of numbers; none where CTranslate2 is absent or would not run where the others do."""
    if torch_device() != "cpu":
        print("CTranslate2 is left out: it would run on the processor")
        return []
    try:
        import ctranslate2  # noqa: F401  # asked for here, used in its own process
    except ImportError as missing:
        print(f"CTranslate2 is left out: {missing}")
        return []
    kinds = ("float32", "int8") if int8 else ("float32",)
    return [Ctranslate2(torch_model, folder / kind, kind) for kind in kinds]


def peers(torch_model: Any, translators: list[Ctranslate2], source: Any) -> list[Method]:
    """Greedy decoding of the peers that are there."""
    found = []
    if torch_model is not None:
        import torch

        ids = torch.tensor(source, device=torch_device())

        def generate() -> Any:
            options = {"max_new_tokens": LENGTH, "min_new_tokens": LENGTH, "do_sample": False}
            with torch_inference():
                return torch_model.generate(ids, attention_mask=torch.ones_like(ids), **options)[:, 1:].cpu().numpy()

        found.append(Method("transformers greedy", generate))
    words = [[str(piece) for piece in row] for row in source]
    for translator in translators:
        found.append(Method(translator.name, partial(translator, words), clock=translator.clock))
    return found


def greedy(name: str, network: Any, source: Any, baseline: str | None = None) -> Method:
    from simulators.t5.decoding.autoregressive import AutoregressiveDecoder
    from simulators.t5.decoding.settings import GenerationSettings

    decoder = AutoregressiveDecoder(network, GenerationSettings(max_length=LENGTH, min_length=LENGTH))
    return Method(name, lambda: decoder(source).tokens, baseline)


def refinements(name: str, network: Any, source: Any, steps: list[int], baseline: str, **settings: Any) -> list[Method]:
    """Refinement from the weights of an autoregressive network; the true lengths are given."""
    import numpy as np

    from simulators.t5.decoding.refinement import RefinementDecoder
    from simulators.t5.decoding.settings import RefinementSettings
    from simulators.t5.files.checkpoints import adapt

    refining = adapt(network, length_predictor="oracle")
    decoder = RefinementDecoder(refining, RefinementSettings(**settings))
    lengths = np.full(len(source), LENGTH)
    found = []
    for count in steps:

        def decode(count: int = count) -> None:
            decoder(source, lengths, steps=count)

        note = f"{decoder(source, lengths, steps=count).steps.mean():.1f} passes" if decoder.settings.early_exit else ""
        found.append(Method(f"{name}, T = {count}", decode, baseline, note))
    return found


def compare(
    size: str,
    batch: int,
    steps: list[int],
    rounds: int,
    basic: bool,
    torch_model: Any,
    translators: list[Ctranslate2],
) -> dict[str, Any]:
    """Time and print every method at one batch size."""
    import numpy as np

    from simulators.t5.decoding.rejecters import LinearSchedule

    source = np.random.default_rng(0).integers(3, SIZES[size]["vocab_size"], (batch, LENGTH))
    source[:, -1] = 1
    network = make_network(size)
    methods = [greedy(OURS, network, source), *peers(torch_model, translators, source)]
    methods += refinements("refinement", network, source, steps, OURS, early_exit=False)
    if not basic:
        methods += refinements("early exit", network, source, steps[-1:], OURS)
        rejected: dict[str, Any] = {"rejecter": LinearSchedule(), "replacement": "initial", "update": "rejected"}
        methods += refinements("partial logits", network, source, steps[1:], OURS, early_exit=False, **rejected)
        listed: dict[str, Any] = {"shortlist": SHORTLIST}
        methods += refinements(f"shortlist {SHORTLIST}", network, source, steps[1:], OURS, early_exit=False, **listed)
        shallow = make_network(size, 1)
        methods.append(greedy("greedy, 1 layer", shallow, source, OURS))
        methods += refinements("1 layer", shallow, source, steps, "greedy, 1 layer", early_exit=False)
    tokens = methods[0].call()
    times = in_turn(methods, rounds)
    ours = times[OURS]
    for method in methods:
        own = times[method.name]
        line = row(batch, method.name, own)
        if method.baseline is not None:
            base = times[method.baseline]
            line += f"{ratio(base.wall, own.wall):>9.2f}{ratio(base.processor, own.processor):>11.2f}"
            line += f"  times as fast as {method.baseline}" + f"  {method.note}" * bool(method.note)
        elif method.name != OURS:
            same = np.array_equal(np.asarray(method.call())[:, : LENGTH - 1], tokens[:, : LENGTH - 1])
            line += f"{ratio(own.wall, ours.wall):>9.2f}{ratio(own.processor, ours.processor):>11.2f}"
            line += f"  ours is so many times as fast; same tokens: {'yes' if same else 'NO'}"
        print(line, flush=True)
    return times


def table(found: dict[int, dict[str, Timing]]) -> str:
    """Every method at every batch size, in Markdown."""
    lines = ["| milliseconds a sentence (times as fast as our greedy decoder: clock, processor) |"]
    lines[0] += "".join(f" batch {batch} |" for batch in found)
    lines.append("|---|" + "---|" * len(found))
    for name in next(iter(found.values())):
        cells = []
        for batch, times in found.items():
            own, base = times[name], times[OURS]
            each = statistics.median(own.wall) / batch
            cells.append(f"{each:.2f} ({ratio(base.wall, own.wall):.2f}, {ratio(base.processor, own.processor):.2f})")
        lines.append(f"| {name} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def train(size: str, batch: int, rounds: int, torch_model: Any) -> None:
    """A training step of both, gradient and Adam update."""
    import jax
    import numpy as np
    from flax import nnx

    from simulators.t5.training.corpus import Batch
    from simulators.t5.training.loop import programs
    from simulators.t5.training.settings import ObjectiveSettings, OptimiserSettings

    network = make_network(size)
    rng = np.random.default_rng(0)
    pieces = network.config.vocab_size
    ids, target = (rng.integers(3, pieces, (batch, LENGTH)).astype(np.int32) for _ in range(2))
    program = programs(network.config, ObjectiveSettings(), OptimiserSettings(), 1000)
    leaves = jax.tree.leaves(nnx.split(network, nnx.Param)[1])
    state = {"leaves": leaves, "moments": program.start(leaves)}

    def ours() -> None:
        gradient, _ = program.gradient(state["leaves"], Batch(ids, target), jax.random.key(0))
        state["leaves"], state["moments"] = program.update(state["leaves"], state["moments"], gradient)
        jax.block_until_ready(state["leaves"])

    methods = [Method("training step", ours)]
    if torch_model is not None:
        import torch

        torch_model.train()
        adam = torch.optim.AdamW(torch_model.parameters(), lr=1e-5)
        source, labels = (torch.tensor(side, dtype=torch.long, device=torch_device()) for side in (ids, target))

        def theirs() -> None:
            adam.zero_grad()
            torch_model(input_ids=source, labels=labels).loss.backward()
            adam.step()
            if torch_device() != "cpu":
                torch.cuda.synchronize()

        methods.append(Method("torch training step", theirs))
    times = in_turn(methods, rounds)
    own = times["training step"]
    for name, timing in times.items():
        line = (
            f"{batch:>5}  {name:<24}{statistics.median(timing.wall):>10.1f}{statistics.median(timing.processor):>11.1f}"
        )
        if timing is not own:
            line += f"{ratio(timing.wall, own.wall):>9.2f}{ratio(timing.processor, own.processor):>11.2f}"
            line += "  ours is so many times as fast"
        print(line, flush=True)


def draw(found: dict[int, dict[str, Any]], steps: list[int], file: Path) -> None:
    """Milliseconds a sentence against refinement steps, with our greedy decoder and the peers as lines."""
    from experiments.figures import COLOURS, DASHES, MARKERS, new_figure, render, style

    with style():
        figure, panels = new_figure(1, len(found))
        for axes, (batch, times) in zip(panels, sorted(found.items()), strict=True):
            lines = [name for name in times if name in ("transformers greedy", OURS) or name.startswith("CTranslate2")]
            for index, name in enumerate(lines):
                height = statistics.median(times[name].wall) / batch
                axes.axhline(height, label=name, color=COLOURS[index], linestyle=DASHES[index])
            for index, name in enumerate(
                ("refinement", "partial logits", f"shortlist {SHORTLIST}", "1 layer"), start=len(lines)
            ):
                points = [
                    (count, statistics.median(times[f"{name}, T = {count}"].wall) / batch)
                    for count in steps
                    if f"{name}, T = {count}" in times
                ]
                if points:
                    look: dict[str, Any] = {
                        "color": COLOURS[index],
                        "linestyle": DASHES[index],
                        "marker": MARKERS[index],
                    }
                    axes.plot(
                        *zip(*points, strict=True), label=name if name != "1 layer" else "refinement, 1 layer", **look
                    )
            axes.set(xlabel="refinement steps T", ylabel="ms per sentence", xscale="log", yscale="log")
            axes.set_title(f"batch {batch}")
            axes.set_xticks(steps, [str(count) for count in steps])
            axes.minorticks_off()
        panels[0].legend()
    file.write_bytes(render(figure, file.suffix.lstrip(".") or "png"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch", default="1,8,64", help="sentences at once")
    parser.add_argument("--steps", default="1,2,4,8", help="refinement steps T")
    parser.add_argument("--rounds", type=int, default=9, help="calls of each method (default 9)")
    parser.add_argument("--threads", type=int, default=2, help="processors that every method may use (default 2)")
    parser.add_argument("--size", choices=SIZES, default="small", help="of the networks (default small)")
    parser.add_argument("--alone", action="store_true", help="no peers")
    parser.add_argument(
        "--basic", action="store_true", help="no early exit, partial logits, shortlist, shallow decoder"
    )
    parser.add_argument("--training", action="store_true", help="a training step too")
    parser.add_argument("--int8", action="store_true", help="CTranslate2 in int8 too")
    parser.add_argument("--figure", type=Path, help="draw milliseconds against steps into this file (png, svg, pdf)")
    options = parser.parse_args()
    from theory.parameters import parse_numbers

    batches = [int(value) for value in parse_numbers(options.batch, "batch", whole=True)]
    steps = [int(value) for value in parse_numbers(options.steps, "steps", whole=True)]
    # Libraries size their pools of threads by the processors that they may run on, or by this variable.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])
    os.environ["OMP_NUM_THREADS"] = str(options.threads)

    import jax

    print(f"JAX runs on {jax.devices()[0].device_kind}")
    print(f"{options.threads} processor(s), load {os.getloadavg()[0]:.1f}, {options.rounds} rounds, {LENGTH} tokens")
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        torch_model = None if options.alone else torch_network(make_network(options.size), first)
        translators = [] if torch_model is None else ctranslate2_translators(torch_model, Path(second), options.int8)
        head = f"{'batch':>5}  {'method':<24}{'ms':>10}{'processor':>11}{'ratio':>9}{'processor':>11}"
        print(head, flush=True)
        found = {
            batch: compare(options.size, batch, steps, options.rounds, options.basic, torch_model, translators)
            for batch in batches
        }
        print("\n" + table(found) + "\n", flush=True)
        if options.training:
            train(options.size, max(batches), options.rounds, torch_model)
    if options.figure:
        draw(found, steps, options.figure)
        print(f"figure: {options.figure}")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
