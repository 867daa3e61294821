"""Translators of the synthetic language, beside its exact law."""
