"""What is likely to fail, and what to do about it: the failure modes of a law, a masked network or a T5, ranked.

Every number comes from an act that exists (`experiments.chains`, `experiments.decoding`, `experiments.estimation`,
`experiments.masked_lm`, `experiments.translation`); here they are compared with thresholds (`modes`), put in order and
answered with a command whose effect was measured too, where that is cheap.
"""
