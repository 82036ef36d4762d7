"""The checks that a run would have done if it had come that far: a report says of each that it was not done, and why."""

from collections.abc import Mapping, Sequence

from shared import filecontracts
from shared.contracts import Check, Run, SnapshotRef, StageState
from shared.mendix import adoption
from shared.request import MigrationRequest, Smoke
from shared.verification import checks, restoredchecks
from shared.wording import stage_words

ARCHIVE = "The archive in staging is compared with its source, by length and, where the source tells it, by MD5."
AS_ASKED = "As the request describes it."
EARLIER = "The run ended before it."


def undone(
    run: Run, stages: Sequence[StageState], answered: Mapping[str, object], snapshot: SnapshotRef | None
) -> list[Check]:
    """Return the checks of the stages that gave no answer, as skipped; `answered` has the names of those that did."""
    return [
        Check(name=name, outcome="skipped", how=how, detail=_why(stage, stages))
        for stage, known in _known(run.request, snapshot).items()
        if stage not in answered
        for name, how in known.items()
    ]


def _known(request: MigrationRequest, snapshot: SnapshotRef | None) -> dict[str, dict[str, str]]:
    """Return, by stage, the names of its checks and how each is done."""
    no_files = snapshot is not None and snapshot.index_blob is None
    return {
        "adopt": adoption.HOW if request.options.target_mode == "runtime" else {},
        "verify": _of_rows(request),
        "files-verify": {filecontracts.ARCHIVE: ARCHIVE} | ({} if no_files else filecontracts.HOW),
        "smoke": dict.fromkeys(_smoke(request.smoke), AS_ASKED),
    }


def _of_rows(request: MigrationRequest) -> dict[str, str]:
    if request.options.target_mode == "postgres":
        return restoredchecks.HOW
    return dict(known for level, known in checks.HOW.items() if level in request.options.verify)


def _smoke(smoke: Smoke) -> list[str]:
    names = [one.name for one in smoke.sql] + [one.name for one in smoke.http] + [one.name for one in smoke.documents]
    return [f"smoke: {name}" for name in [*names, *(["runtime"] if smoke.runtime else [])]]


def _why(name: str, stages: Sequence[StageState]) -> str:
    stage = next((one for one in stages if one.name == name), None)
    if stage is None:
        return EARLIER
    if stage.state == "skipped":
        return f"Left out: {stage.note}."
    return f"The stage “{stage_words(name)}” did not come to its end."
