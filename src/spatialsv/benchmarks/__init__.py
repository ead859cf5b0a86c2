"""Spatial benchmarks from their authors' files, and the rules by which stacks score replies."""
