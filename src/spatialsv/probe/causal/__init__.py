"""Causal tests: whether answers follow geometry that is written into visual states."""
