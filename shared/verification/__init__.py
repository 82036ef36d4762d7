"""Proof that the target equals the source: counts, aggregates, row hashes, samples."""
