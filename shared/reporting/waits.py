"""How long a run waited for people and for the clock: time that says nothing about the machines."""

from collections.abc import Iterable

from shared.contracts import Gate
from shared.forecast import GATE_STAGES


def waited(gates: Iterable[Gate]) -> dict[str, float]:
    """Return, by stage, the seconds that it has waited at its gates and done nothing else."""
    found: dict[str, float] = {}
    for gate in gates:
        stage = GATE_STAGES.get(gate.name)
        if stage is not None and gate.decided_at is not None:
            found[stage] = found.get(stage, 0.0) + (gate.decided_at - gate.asked_at).total_seconds()
    return found
