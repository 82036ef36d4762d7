"""Benchmarks that print ratios against a named baseline of the same run."""
