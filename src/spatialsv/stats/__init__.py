"""Intervals, paired tests, power, and aggregation over seeds: numpy and scipy, no files."""
