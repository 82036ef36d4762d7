"""The target modes: what is done for the database before the point of no return, and what after it.

A mode is two lists of steps. Those of `before` read the snapshot and what was restored from it, and write staging and the
temporary server only; those of `after` write the target, beside the files. `orchestrators.migration` walks the first
list, `orchestrators.sides` the second.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from orchestrators.calling import Payload, Steps, call
from orchestrators.handover import handed_over
from orchestrators.stages import StageRecord, child_stage, stage
from shared.contracts import Run
from shared.request import TargetMode

Handed = Literal["snapshot", "restore"]


@dataclass(frozen=True)
class Step:
    """One stage: its name, what does it, and what it takes beside the run."""

    stage: str
    does: str
    takes: tuple[Handed, ...] = ("restore",)
    child: bool = True
    """Done by an orchestration, whose custom status has the live numbers; else by an activity."""
    checks: bool = False
    """Its findings are recorded at once, and errors among them stop the run."""
    with_next: bool = False
    """Errors stop the run only after the next step, whose findings are wanted too: each try costs a snapshot."""

    def steps(self, record: StageRecord, run: Run, handed: Mapping[Handed, Payload | None]) -> Steps:
        """Do it as a stage of the record. `StageFailed` when it does not succeed."""
        work: Payload = {"run": run.model_dump(mode="json")} | {name: handed[name] for name in self.takes}
        if self.child:
            return (yield from child_stage(record, self.stage, self.does, work))
        return (yield from stage(record, self.stage, call(record.ctx, self.does, work)))


@dataclass(frozen=True)
class Waiting:
    """A stage that waits for people. The side itself waits, because an event reaches only the orchestration it names."""

    stage: str
    waits: Callable[[StageRecord, Run, Payload], Steps]

    def steps(self, record: StageRecord, run: Run, handed: Mapping[Handed, Payload | None]) -> Steps:
        """Wait; the stage is opened and closed by what waits. `StageFailed` when nobody came, or somebody aborted."""
        work: Payload = {"run": run.model_dump(mode="json"), "restore": handed["restore"]}
        return (yield from self.waits(record, run, work))


@dataclass(frozen=True)
class Mode:
    """A way to fill the target's database."""

    before: tuple[Step, ...]
    after: tuple[Step | Waiting, ...]


CONVERTED = Mode(
    before=(
        Step("restore", "restore_database", takes=("snapshot",), checks=True),
        Step("plan", "plan_database", child=False, checks=True, with_next=True),
        Step("inspect", "inspect_data", checks=True),
    ),
    after=(
        Step("schema", "create_schema", child=False),
        Step("copy", "copy_rows"),
        Step("finish", "finish_schema"),
        Step("verify", "verify_rows"),
    ),
)
"""SQL Server, filled from the temporary PostgreSQL: into tables that we make, or into those the runtime made."""

RESTORED = Mode(
    before=(Step("plan", "plan_postgres", takes=("snapshot",), checks=True),),
    after=(
        Step("schema", "create_postgres_schema", takes=("snapshot",), child=False),
        Step("copy", "load_postgres", takes=("snapshot",)),
        Step("finish", "finish_postgres", takes=("snapshot",)),
        Step("verify", "verify_postgres", takes=("snapshot",)),
    ),
)
"""PostgreSQL, into which the dump is restored straight; the temporary PostgreSQL is not used."""

HANDED_OVER = Mode(
    before=(*CONVERTED.before, Step("prepare", "prepare_source", checks=True)),
    after=(
        Step("room", "empty_target", child=False),
        Waiting("hand-over", handed_over),
        Step("adopt", "adopt_schema", child=False),
        Step("verify", "verify_rows"),
        Step("take-back", "take_settings_back", takes=(), child=False),
    ),
)
"""SQL Server, filled by the Mendix runtime itself, from the temporary PostgreSQL by its SourceDatabase settings."""

MODES: dict[TargetMode, Mode] = {
    "create": CONVERTED,
    "existing": CONVERTED,
    "runtime": HANDED_OVER,
    "postgres": RESTORED,
}


def mode_of(run: Run) -> Mode:
    """Return the mode that the run's request asks for."""
    return MODES[run.request.options.target_mode or "create"]
