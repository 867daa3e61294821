"""A masked language model of one's own, exactly: check it, open a window on it, scan, sample and score sequences."""
