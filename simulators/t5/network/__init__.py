"""The T5 encoder-decoder and its configuration."""
