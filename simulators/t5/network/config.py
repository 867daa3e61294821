"""Description of a T5 network: the sizes of Hugging Face's ``config.json`` and the named options of refinement.

Names and defaults of the first group are those of ``config.json``, so that a folder can be read and written without a
dictionary between two vocabularies. The second group is kept there under the key ``gmlm``, which other programs ignore.

Token ids: 0..V-1 are the pieces of the vocabulary, the only ids that can be predicted. The ids from V on are *special*
input symbols with an embedding table of their own: MASK = V, LENGTH = V + 1, and, with range masks, one mask for each
target position, V + 2 + i. They cannot collide with pieces, and no logit is ever computed for them.

Legend: ``V`` pieces, ``D`` width.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any, Literal, get_args

from theory.errors import InvalidInput

Decoder = Literal["autoregressive", "refinement"]
LengthPredictor = Literal["token", "affine", "fertility", "oracle"]
FeedForwardKind = Literal["gated-gelu", "gated-silu", "relu"]
ComputeType = Literal["float32", "bfloat16"]

MODEL_TYPES = ("t5", "mt5")
"""Layouts that are read; umt5 has one table of position biases in each layer and is another network."""

OPTIONS_KEY = "gmlm"


@dataclass(frozen=True)
class T5Config:
    """Sizes and options of a network.

    Attributes:
        vocab_size: V, rows of the embedding table.
        d_model, d_kv, d_ff: width D, width of one head, hidden units of the feed-forward layer.
        num_layers, num_decoder_layers: depth of encoder and decoder.
        num_heads: heads of every attention layer.
        relative_attention_num_buckets, relative_attention_max_distance: relative position buckets.
        feed_forward_proj: "gated-gelu" (v1.1), "gated-silu" (UL2) or "relu" (v1.0).
        layer_norm_epsilon, dropout_rate, initializer_factor: as in ``config.json``.
        tied: the output layer is the embedding table. Decided by what the checkpoint holds, not by its flag.
        scale_decoder_outputs: decoder states are multiplied by D^-1/2 before the output layer.
        pad_token_id, eos_token_id, decoder_start_token_id: ids.
        model_type: "t5" or "mt5", only written back.
        decoder: "autoregressive" (causal) or "refinement" (every position sees every other).
        max_target_length: longest target, EOS counted, that lengths, range masks and absolute positions know.
        length_predictor: how a refinement decoder finds the length of the target.
        fertility_classes: a source token becomes 0..fertility_classes-1 target tokens ("fertility" only).
        learned_rejecter: a binary head on decoder states that tells which predictions to keep.
        positional_attention: attention whose queries and keys are absolute positions, in each decoder layer.
        range_masks: one mask symbol for each target position, instead of one MASK.
        dtype: type of activations; parameters, norms, softmax and logits stay float32.
    """

    vocab_size: int
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 1024
    num_layers: int = 8
    num_decoder_layers: int = 8
    num_heads: int = 6
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    feed_forward_proj: FeedForwardKind = "gated-gelu"
    layer_norm_epsilon: float = 1e-6
    dropout_rate: float = 0.1
    initializer_factor: float = 1.0
    tied: bool = False
    scale_decoder_outputs: bool = False
    pad_token_id: int = 0
    eos_token_id: int = 1
    decoder_start_token_id: int = 0
    model_type: str = "t5"
    decoder: Decoder = "autoregressive"
    max_target_length: int = 128
    length_predictor: LengthPredictor = "token"
    fertility_classes: int = 8
    learned_rejecter: bool = False
    positional_attention: bool = False
    range_masks: bool = False
    dtype: ComputeType = "float32"

    def __post_init__(self) -> None:
        for name, lowest in MINIMUM.items():
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not lowest <= value <= MAXIMUM[name]:
                raise InvalidInput(name, value, f"a whole number in {lowest}..{MAXIMUM[name]} is needed")
        for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < self.vocab_size:
                raise InvalidInput(name, value, f"an id of the vocabulary, 0..{self.vocab_size - 1}, is needed")
        if self.pad_token_id == self.eos_token_id:
            raise InvalidInput("eos_token_id", self.eos_token_id, "must differ from pad_token_id")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise InvalidInput(name, getattr(self, name), f"one of {', '.join(allowed)}")
        if self.relative_attention_num_buckets % 4:
            raise InvalidInput(
                "relative_attention_num_buckets", self.relative_attention_num_buckets, "a multiple of 4 is needed"
            )
        if self.relative_attention_max_distance <= self.relative_attention_num_buckets // 2:
            raise InvalidInput(
                "relative_attention_max_distance",
                self.relative_attention_max_distance,
                "must exceed half the number of buckets",
            )
        for name in ("dropout_rate", "layer_norm_epsilon", "initializer_factor"):
            value = getattr(self, name)
            if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
                raise InvalidInput(name, value, "a finite number is needed")
        for name in ("tied", "scale_decoder_outputs", "learned_rejecter", "positional_attention", "range_masks"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidInput(name, getattr(self, name), "true or false is needed")
        if not 0 <= self.dropout_rate < 1:
            raise InvalidInput("dropout_rate", self.dropout_rate, "a number in [0, 1) is needed")
        if not self.layer_norm_epsilon > 0:
            raise InvalidInput("layer_norm_epsilon", self.layer_norm_epsilon, "a positive number is needed")

    @property
    def inner(self) -> int:
        """I: width of all heads together."""
        return self.num_heads * self.d_kv

    @property
    def weights(self) -> int:
        """Numbers in embeddings and matrices of the layers; norms, biases and heads are small beside them."""
        attention = 4 * self.d_model * self.inner
        feed_forward = (3 if self.gated else 2) * self.d_model * self.d_ff
        layers = self.num_layers * (attention + feed_forward)
        layers += self.num_decoder_layers * (2 * attention + feed_forward)
        return layers + (1 if self.tied else 2) * self.vocab_size * self.d_model

    @property
    def gated(self) -> bool:
        """Whether the feed-forward layer has a gate."""
        return self.feed_forward_proj.startswith("gated-")

    @property
    def mask_id(self) -> int:
        """MASK: a target token that is not known."""
        return self.vocab_size

    @property
    def length_id(self) -> int:
        """LENGTH: the symbol before the source whose encoder state tells the length."""
        return self.vocab_size + 1

    @property
    def first_range_mask_id(self) -> int:
        """MASK_0; MASK_i is ``first_range_mask_id + i``."""
        return self.vocab_size + 2

    @property
    def special_symbols(self) -> int:
        """Input symbols beyond the vocabulary; an autoregressive network has none."""
        if self.decoder == "autoregressive":
            return 0
        return 2 + (self.max_target_length if self.range_masks else 0)

    @staticmethod
    def from_json(values: dict[str, Any], tied: bool, file: str = "config.json") -> T5Config:
        """The configuration that a ``config.json`` describes.

        Args:
            values: its content.
            tied: whether the weights lack an output layer of their own; the file's own flag is not to be trusted.
            file: named in errors.

        Raises:
            InvalidInput: a kind of network that is not T5, or sizes that are missing or wrong.
        """
        kind = values.get("model_type", "t5")
        if kind not in MODEL_TYPES:
            raise InvalidInput(f"{file}: model_type", kind, f"one of {', '.join(MODEL_TYPES)} is needed")
        if values.get("vocab_size") is None:
            raise InvalidInput(file, "no vocab_size", "a T5 configuration is needed")
        names = {field.name for field in dataclasses.fields(T5Config)}
        chosen = {name: value for name, value in values.items() if name in names and value is not None}
        chosen.setdefault("feed_forward_proj", "gated-gelu" if kind == "mt5" else "relu")
        chosen.setdefault("num_decoder_layers", chosen.get("num_layers", 6))
        for name, default in HUGGING_FACE_DEFAULTS.items():
            chosen.setdefault(name, default)
        # mT5 never scales. T5 says so in a field of its own since transformers 5, by the tie flag before.
        scaled = values.get("scale_decoder_outputs", values.get("tie_word_embeddings", True))
        chosen |= {"tied": tied, "scale_decoder_outputs": kind == "t5" and bool(scaled), "model_type": kind}
        chosen.pop("dtype", None)
        options = values.get(OPTIONS_KEY, {})
        if not isinstance(options, dict) or not options.keys() <= set(OPTIONS):
            raise InvalidInput(f"{file}: {OPTIONS_KEY}", options, f"an object of {', '.join(OPTIONS)} is needed")
        try:
            return T5Config(**(chosen | options))
        except InvalidInput as error:
            raise InvalidInput(f"{file}: {error.argument}", error.value, error.allowed) from None
        except OverflowError as error:
            raise InvalidInput(file, "a number in it", f"is out of range ({error})") from None

    def to_json(self) -> dict[str, Any]:
        """The content of ``config.json``, as `transformers` writes it, with our options under ``gmlm``."""
        values = dataclasses.asdict(self)
        options = {name: values.pop(name) for name in OPTIONS}
        tied = values.pop("tied")
        scaled = values.pop("scale_decoder_outputs")
        gate, _, activation = self.feed_forward_proj.rpartition("-")
        return values | {
            "architectures": [
                "MT5ForConditionalGeneration" if self.model_type == "mt5" else "T5ForConditionalGeneration"
            ],
            "dense_act_fn": "gelu_new" if activation == "gelu" else activation,
            "is_gated_act": gate == "gated",
            "is_encoder_decoder": True,
            "use_cache": True,
            "dtype": "float32",
            "tie_word_embeddings": tied,
            "scale_decoder_outputs": scaled,
            OPTIONS_KEY: options,
        }

    def replace(self, **changes: Any) -> T5Config:
        """The same configuration with some fields changed."""
        return dataclasses.replace(self, **changes)


MINIMUM = {
    "vocab_size": 3,
    "d_model": 1,
    "d_kv": 1,
    "d_ff": 1,
    "num_layers": 1,
    "num_decoder_layers": 1,
    "num_heads": 1,
    "relative_attention_num_buckets": 4,
    "relative_attention_max_distance": 2,
    "max_target_length": 2,
    "fertility_classes": 2,
}

MAXIMUM = {
    "vocab_size": 1 << 24,
    "d_model": 1 << 16,
    "d_kv": 1 << 12,
    "d_ff": 1 << 20,
    "num_layers": 1 << 8,
    "num_decoder_layers": 1 << 8,
    "num_heads": 1 << 12,
    "relative_attention_num_buckets": 1 << 12,
    "relative_attention_max_distance": 1 << 20,
    "max_target_length": 1 << 16,
    "fertility_classes": 1 << 10,
}
"""Far beyond every published T5; what is larger is a mistake, or was made to exhaust memory."""

CHOICES: dict[str, tuple[str, ...]] = {
    "decoder": get_args(Decoder),
    "length_predictor": get_args(LengthPredictor),
    "feed_forward_proj": get_args(FeedForwardKind),
    "dtype": get_args(ComputeType),
    "model_type": MODEL_TYPES,
}

OPTIONS = (
    "decoder",
    "max_target_length",
    "length_predictor",
    "fertility_classes",
    "learned_rejecter",
    "positional_attention",
    "range_masks",
)
"""Fields that Hugging Face does not know."""

HUGGING_FACE_DEFAULTS = {"d_model": 512, "d_kv": 64, "d_ff": 2048, "num_layers": 6, "num_heads": 8}
"""What a ``config.json`` means that leaves a size out; v1.0's, which differ from the defaults above."""
