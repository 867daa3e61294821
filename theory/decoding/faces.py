"""What is known of a rule's output law at real length, in a sentence, and why there is no more.

Enumeration on tables is exact for every rule. At length there are a path, paths, sums over the sets that a step can
keep, or samples alone; see `theory.decoding.replay`, `candidate_paths` and `sampled_estimates`.
"""

from __future__ import annotations

from theory.decoding.candidate_paths import WIDEST, has_luck, keeps_candidates
from theory.decoding.drafting import DraftRule, Speculative
from theory.decoding.noise import ScoreRule
from theory.decoding.random_orders import FirstHitting
from theory.decoding.replay import can_replay, has_one_path
from theory.decoding.rule import Rule, Setting


def at_length(rule: Rule, setting: Setting) -> str:
    """What is known of the law at length."""
    if isinstance(rule, (FirstHitting, Speculative)) and rule.temperature == 1 and rule.top_p == 1:
        return "with the exact conditionals of p it puts out p"
    if has_one_path(rule, setting):
        return "q(x) exactly, by replay: the tokens of x fix every step"
    if can_replay(rule):
        return "bounds from above, by replay: sites are drawn at random, so that x has many paths"
    if keeps_candidates(rule, setting) and has_luck(rule, setting):
        return (
            "bounds from above, by weighted paths: q(x) is a mean over noise or random ties in every step, "
            "which no path fixes and no closed form sums"
        )
    if keeps_candidates(rule, setting):
        return (
            f"q(x) exactly in blocks of at most {WIDEST} sites, by a sum over the sets kept; "
            "bounds from above, by weighted paths, in wider ones"
        )
    return f"a lower bound of KL(q‖p), from samples: {why_no_path(rule)}"


def why_no_path(rule: Rule) -> str:
    """Why no unbiased estimate of q(x) at length is offered for a rule that is only sampled."""
    if rule.needs == "noise":
        return "its sequences are full from the start, and every step may change them all"
    if isinstance(rule, ScoreRule):
        return "what is left at the end takes its likeliest tokens, which a given text does not have"
    if rule.remasks:
        return "tokens that are drawn and masked again or overwritten are not in x, and sums over them collapse"
    if isinstance(rule, DraftRule):
        return "where a step ends depends on a draft that is not in x"
    return "how many sites a step reveals depends on candidates that are not in x"
