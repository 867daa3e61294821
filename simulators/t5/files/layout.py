"""Names and shapes of Hugging Face's T5 checkpoints, and how they lie in our network.

Linear maps are stored there as [outputs, inputs], here as [inputs, outputs] with the maps that share an input side by
side. A `Place` says where one stored tensor lies: the parameter, the columns of it, and whether it is transposed.
Parameters that Hugging Face does not know (special symbols, length predictor, rejecter head, positional attention) are
stored under the prefix ``gmlm.``, as they are.

Legend: ``V`` pieces, ``D`` width, ``I`` width of all heads, ``F`` hidden units.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from numpy.typing import NDArray

from simulators.t5.network.config import T5Config

OWN_PREFIX = "gmlm."


@dataclass(frozen=True)
class Place:
    """Where a stored tensor lies.

    Attributes:
        parameter: path of the parameter in the network, joined by dots.
        start, stop: its columns, where it is one of several side by side.
        transposed: stored as [outputs, inputs].
    """

    parameter: str
    start: int | None = None
    stop: int | None = None
    transposed: bool = False

    def part(self, parameter: NDArray[Any]) -> NDArray[Any]:
        """What is stored of a parameter, as a view."""
        return parameter[:, self.start : self.stop].T if self.transposed else parameter

    def stored_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Shape of what is stored of a parameter of this shape."""
        return (len(range(shape[1])[self.start : self.stop]), shape[0]) if self.transposed else shape


def stored_tensors(config: T5Config) -> dict[str, Place]:
    """Every tensor of Hugging Face's layout for this configuration, by its stored name."""
    places = {"shared.weight": Place("shared")}
    if not config.tied:
        places["lm_head.weight"] = Place("lm_head")
    for stack, depth in (("encoder", config.num_layers), ("decoder", config.num_decoder_layers)):
        places[f"{stack}.final_layer_norm.weight"] = Place(f"{stack}.norm.weight")
        places[f"{stack}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"] = Place(f"{stack}.bias.table")
        for layer in range(depth):
            places.update(_block(config, stack, layer))
    return places


def _block(config: T5Config, stack: str, layer: int) -> Iterator[tuple[str, Place]]:
    stored, ours = f"{stack}.block.{layer}.layer", f"{stack}.blocks.{layer}"
    inner, hidden = config.inner, config.d_ff
    last = 1 if stack == "encoder" else 2
    for index, name in enumerate(("q", "k", "v")):
        columns = (index * inner, (index + 1) * inner)
        kernel = f"{ours}.attention.query_key_value.kernel"
        yield f"{stored}.0.SelfAttention.{name}.weight", Place(kernel, *columns, transposed=True)
    yield f"{stored}.0.SelfAttention.o.weight", Place(f"{ours}.attention.output.kernel", transposed=True)
    yield f"{stored}.0.layer_norm.weight", Place(f"{ours}.attention_norm.weight")
    if stack == "decoder":
        cross = f"{stored}.1.EncDecAttention"
        yield f"{cross}.q.weight", Place(f"{ours}.cross.query.kernel", transposed=True)
        yield f"{cross}.k.weight", Place(f"{ours}.cross.key_value.kernel", 0, inner, transposed=True)
        yield f"{cross}.v.weight", Place(f"{ours}.cross.key_value.kernel", inner, 2 * inner, transposed=True)
        yield f"{cross}.o.weight", Place(f"{ours}.cross.output.kernel", transposed=True)
        yield f"{stored}.1.layer_norm.weight", Place(f"{ours}.cross_norm.weight")
    dense = f"{stored}.{last}.DenseReluDense"
    inward = f"{ours}.feed_forward.inward.kernel"
    if config.gated:
        yield f"{dense}.wi_0.weight", Place(inward, 0, hidden, transposed=True)
        yield f"{dense}.wi_1.weight", Place(inward, hidden, 2 * hidden, transposed=True)
    else:
        yield f"{dense}.wi.weight", Place(inward, transposed=True)
    yield f"{dense}.wo.weight", Place(f"{ours}.feed_forward.outward.kernel", transposed=True)
    yield f"{stored}.{last}.layer_norm.weight", Place(f"{ours}.feed_forward_norm.weight")
