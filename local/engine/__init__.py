"""A durable engine for one machine: the `durabletask` sidecar protocol on loopback, its state in one SQLite file."""

from local.engine.lock import StateFileInUse
from local.engine.server import Engine

__all__ = ["Engine", "StateFileInUse"]
