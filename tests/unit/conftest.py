"""Fixtures of the unit tests."""

from tests.unit.migrationhub import doubles, hub

__all__ = ["doubles", "hub"]
