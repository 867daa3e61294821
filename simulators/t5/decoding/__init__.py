"""Decoding of a T5: one token after the other, or all at once with refinement."""
