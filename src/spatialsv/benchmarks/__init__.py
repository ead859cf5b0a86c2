"""Spatial benchmarks: the rooms' own questions, third-party files and their scoring protocols."""
