"""Training of a T5: corpora, noising, objective, the loop that can be resumed, distillation."""
