"""The claims, by identifier.

The command line, the report, the sweeps and the tests all read this list. Modules are imported when they are asked for,
so that naming the claims costs nothing.
"""

from __future__ import annotations

import os
from importlib import import_module
from importlib.util import find_spec

from experiments.claim import Claim
from theory.errors import InvalidInput

MODULES: dict[str, str] = {
    "C1": "c1_information_matrix_equality",
    "C2": "c2_masking_more_is_more_efficient",
    "C3": "c3_efficiency_is_bounded_by_mixing",
    "C4": "c4_finite_sample_bound",
    "C5": "c5_functional_inequalities",
    "C6": "c6_entropy_contraction_and_mixing",
    "C7": "c7_parallel_decoding_is_a_product_kernel",
    "C8": "c8_strong_clique",
    "C9": "c9_unmasking_schedules",
    "C10": "c10_learned_conditionals_are_incompatible",
    "D1": "d1_exact_in_treedepth_many_calls",
    "D2": "d2_one_token_a_call",
    "D3": "d3_confidence_against_random_orders",
    "D4": "d4_entropy_bound",
    "D5": "d5_what_remasking_repairs",
    "D6": "d6_three_faces_agree",
    "N1": "n1_sample_efficiency_of_learned_laws",
    "N2": "n2_mixing_with_learned_conditionals",
    "N3": "n3_trained_network_gets_stuck_in_the_clique",
    "N4": "n4_finite_sample_bound_against_training",
    "N5": "n5_adaptive_masks",
    "N6": "n6_attention_follows_dependence",
    "N7": "n7_trained_transformer_against_product_kernels",
    "N8": "n8_a_real_network_is_stuck",
    "P1": "p1_refinement_follows_the_exact_chain",
    "P2": "p2_distillation_removes_mode_mixing",
    "P3": "p3_mask_ratio_and_training_stages",
    "P4": "p4_starts_and_rejecters",
    "P5": "p5_speed_quality_frontier",
    "P6": "p6_errors_of_length_tokens_and_coherence",
}

TRAINED = ("C10", "N1", "N2", "N3", "N4", "N5", "N6", "N7", "P1", "P2", "P3", "P4", "P5", "P6")
"""Claims about trained networks: they need the extra ``simulators``."""

PRETRAINED = ("N8",)
"""Claims about a published network: they need the extra ``mlm`` and the network's files."""


def identifier(text: str) -> str:
    """The identifier of a claim from its identifier in any case, or its name.

    Raises:
        InvalidInput: there is no such claim.
    """
    wanted = text.strip().lower().replace("_", "-")
    for key, module in MODULES.items():
        name = module.partition("_")[2].replace("_", "-")
        if wanted in {key.lower(), name, f"{key.lower()}-{name}"}:
            return key
    raise InvalidInput("claim", text, "one of " + ", ".join(MODULES))


def runnable() -> list[str]:
    """Identifiers of the claims that the installed packages can check."""
    complete = find_spec("jax") is not None and find_spec("flax") is not None
    pretrained = complete and all(find_spec(package) is not None for package in ("torch", "transformers", "sapiens"))
    left_out = () if complete else TRAINED
    return [key for key in MODULES if key not in left_out and (key not in PRETRAINED or pretrained or _named())]


def _named() -> bool:
    """Whether the user says where the files are: the claim is wanted then, and says what it lacks."""
    return bool(os.environ.get("GMLM_SAPIENS"))


def load(text: str) -> Claim:
    """The claim of that identifier or name.

    Raises:
        InvalidInput: there is no such claim.
    """
    module = import_module(f"experiments.claims.{MODULES[identifier(text)]}")
    claim: Claim = module.CLAIM
    return claim
