"""How likely a text is under a decoder, exactly, beside its pseudo-log-likelihood."""

from __future__ import annotations

from typing import Any

import numpy as np

from simulators.masked_lm import Region
from simulators.masked_lm.simulated import pseudo_log_likelihood
from theory.decoding.replay import can_replay, has_one_path, replay
from theory.decoding.rule import Rule, Setting
from theory.decoding.tables import FunctionPredictor
from theory.errors import InvalidInput


def score_record(region: Region, rule: Rule, calls: int, paths: int, seed: int) -> dict[str, Any]:
    """-ln q(x) of a region's own tokens under a decoder, the rest of the sequence given; nats.

    Where the decoder's sites are a function of what is revealed, the number is exact. Where it draws its sites, the
    mean of -ln q over paths is an upper bound on -ln q(x), estimated from ``paths`` of them.

    Raises:
        InvalidInput: a token outside the alphabet, or a decoder whose sites depend on the tokens it draws.
    """
    if region.native is None:
        raise InvalidInput("--alphabet", f"{region.symbols} symbols", "the sequence has a token that is not among them")
    if not can_replay(rule):
        raise InvalidInput("--decoder", rule.name, "its sites depend on tokens that are drawn with them: no replay")
    model = FunctionPredictor(region.sites, region.symbols, region.probabilities)
    setting = Setting(region.sites, region.symbols, calls)
    one_path = has_one_path(rule, setting)
    count = 1 if one_path else paths
    asked = region.calls
    tokens = np.tile(region.native, (count, 1))
    found = replay(model, rule, setting, tokens, np.random.default_rng(seed))
    losses = -found.log_probability
    spread = None if count == 1 else float(losses.std(ddof=1) / np.sqrt(count))
    pseudo = float(pseudo_log_likelihood(region, region.native[None])[0])
    return {
        "decoder": rule.name,
        "calls_asked": calls if rule.reads_calls else None,
        "calls": float(found.calls.mean()),
        "sites": region.sites,
        "loss": float(losses.mean()),
        "loss_is": "exact" if one_path else "upper bound",
        "standard_error": spread,
        "paths": count,
        "loss_per_token": float(losses.mean()) / region.sites,
        "perplexity": float(np.exp(losses.mean() / region.sites)),
        "pseudo_log_likelihood": pseudo,
        "pseudo_perplexity": float(np.exp(-pseudo / region.sites)),
        "rows": region.calls - asked,
    }
