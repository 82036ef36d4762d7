"""Fixtures of the unit tests."""

from tests.unit.orchestrators.migrationhub import doubles, hub

__all__ = ["doubles", "hub"]
