"""Decoders: what each costs and what it does to a law."""
