"""Decoding by unmasking: what each order costs and loses."""
