"""Faults that can be injected at run time, decided in the parent process so that counts hold across sessions."""

import random
from dataclasses import dataclass, field
from typing import Any

# Where a session asks whether something is to go wrong → the kinds that may.
POINTS = {
    "login": ("refuse_login", "latency"),
    "statement": ("latency", "stall", "error", "reset"),
    "bulk": ("reset_bulk", "stall_bulk", "error_bulk", "latency_bulk"),
    "bulk_failed": ("doom_bulk",),
    "commit": ("reset_before_commit", "reset_after_commit", "error_commit"),
}
KINDS = frozenset(kind for kinds in POINTS.values() for kind in kinds)


@dataclass
class Fault:
    """One injected fault.

    Attributes:
        kind: `reset_bulk` (TCP reset inside a bulk load, after `rows` rows or `bytes` bytes of it), `stall_bulk` (stops
            reading there for `seconds`), `error_bulk` (error `number` instead of the load's acknowledgement, nothing
            stored), `latency_bulk` (`seconds` before the acknowledgement), `doom_bulk` (a load that is refused, or that the
            client gives up, ends the transaction though XACT_ABORT is OFF), `reset_before_commit` (the transaction is lost), `reset_after_commit` (it is applied, the client never hears), `error_commit` (error `number`, the
            transaction is rolled back), `error` (error `number` instead of a statement that contains `text`),
            `latency` and `stall` (`seconds` before every such statement), `reset`, `refuse_login` (error `number`).
        times: How often it fires before it is spent; None is for ever.
        skip: How many chances pass before it starts.
        probability: Of each chance, drawn from a generator seeded with `seed`.
        number: SQL Server error, for the kinds that raise one.
    """

    kind: str
    times: int | None = 1
    skip: int = 0
    probability: float = 1.0
    seed: int = 0
    number: int = 40501
    rows: int = 0
    bytes: int = 0
    seconds: float = 0.0
    text: str = ""
    fired: int = 0
    chance: random.Random = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no such fault: {self.kind!r}; expected one of {', '.join(sorted(KINDS))}")
        self.chance = random.Random(self.seed)

    def fires(self, statement: str) -> bool:
        """Whether it happens at this chance; counts it when it does."""
        if self.times is not None and self.fired >= self.times:
            return False
        if self.text and self.text.lower() not in statement.lower():
            return False
        if self.skip > 0:
            self.skip -= 1
            return False
        if self.chance.random() >= self.probability:
            return False
        self.fired += 1
        return True

    def told(self) -> dict[str, Any]:
        """What the session needs to make it happen."""
        return {
            "kind": self.kind,
            "number": self.number,
            "rows": self.rows,
            "bytes": self.bytes,
            "seconds": self.seconds,
        }


class Faults:
    """Every injected fault of one server."""

    def __init__(self) -> None:
        self._faults: list[Fault] = []
        self._fired: dict[str, int] = {}

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, settings: dict[str, Any]) -> None:
        """Adds one from the fields of `Fault`.

        Raises:
            ValueError: Unknown kind.
            TypeError: Unknown field.
        """
        self._faults.append(Fault(**settings))

    def clear(self) -> None:
        """Removes all."""
        self._faults.clear()

    def at(self, point: str, statement: str) -> dict[str, Any] | None:
        """The fault that happens now at this point, if any."""
        for fault in self._faults:
            if fault.kind in POINTS[point] and fault.fires(statement):
                self._fired[fault.kind] = self._fired.get(fault.kind, 0) + 1
                return fault.told()
        return None

    def fired(self) -> dict[str, int]:
        """How often each kind has fired since the server started."""
        return dict(self._fired)
