"""Benchmarks: `python -m tests.bench [--short]`. They fail on wrong answers only."""
