"""When one side of a migration, database or files, has failed: the other one is told to end."""

from activities.boundary import closing_activity
from shared import runs
from shared.contracts import RunWork
from shared.strict import Strict


class FailedSide(RunWork):
    """Input of `end_other_side`: what failed, and why."""

    stage: str
    code: str


class Told(Strict):
    """Output of `end_other_side`: the mark that the other side's activities look for."""

    blob: str


@closing_activity
def end_other_side(work: FailedSide) -> Told:
    """Leave the mark at which the run's activities stop: nobody should wait for rows or files that nobody will use."""
    return Told(blob=runs.end_sides(work.run.id, f"{work.stage}: {work.code}"))
