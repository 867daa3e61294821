"""What a T5 reads and writes: checkpoints, vocabularies, parallel text."""
