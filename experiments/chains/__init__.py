"""Analysis of one sampler's chain on one law: what is feasible, the computation, the record."""
