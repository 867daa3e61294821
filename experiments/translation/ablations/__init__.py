"""The ablations of refinement on real text: what is varied, training and measuring it, and the figures.

The claims P1 to P5 vary the same things on a synthetic language, where an exact law predicts the outcome. Real text has
no such law: what is found here is data, with the uncertainty that a test set of its size leaves.
"""
