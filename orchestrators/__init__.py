"""Deterministic generators: order, fan-out, retry, gates, compensation. No I/O, no clock, no settings."""
