"""Intervals, paired tests, power and aggregation over seeds: NumPy and SciPy, no files."""
