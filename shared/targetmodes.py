"""Which target modes there are for which kind of target, and which one a request gets that names none."""

from typing import Literal

from shared.errors import Refusal
from shared.request import MigrationRequest, TargetMode

Kind = Literal["sqlserver", "postgres"]

KINDS: dict[TargetMode, Kind] = {
    "create": "sqlserver",
    "existing": "sqlserver",
    "runtime": "sqlserver",
    "postgres": "postgres",
}
DEFAULTS: dict[Kind, TargetMode] = {"sqlserver": "create", "postgres": "postgres"}
"""`create` has all its data checked before anything is written; a PostgreSQL target has one way only."""


def resolved(request: MigrationRequest, kind: Kind) -> MigrationRequest:
    """Return the request with the target mode it means on a target of that kind.

    `Refusal` TARGET_MODE_UNFIT when it names a mode that such a target has not, VERIFY_UNFIT when it asks for levels of
    verification of which none compares rows in that mode.
    """
    mode = request.options.target_mode
    _refuse_unverified(request, kind)
    if mode is None:
        options = request.options.model_copy(update={"target_mode": DEFAULTS[kind]})
        return request.model_copy(update={"options": options})
    if KINDS[mode] != kind:
        fitting = ", ".join(name for name, wanted in KINDS.items() if wanted == kind)
        raise Refusal(
            "TARGET_MODE_UNFIT", request.target,
            f"expected a target mode for a profile of kind {kind} ({fitting}), found `{mode}`.",
            f"Leave options.target_mode out, or name a target profile of kind {KINDS[mode]}.",
        )  # fmt: skip
    return request


def _refuse_unverified(request: MigrationRequest, kind: Kind) -> None:
    """In mode `postgres` every row is counted or read again; there are no aggregates and no sample of it."""
    if kind == "postgres" and not {"counts", "hash"} & set(request.options.verify):
        raise Refusal(
            "VERIFY_UNFIT", request.target,
            f"expected counts or hash among the levels of verification of a PostgreSQL target, found "
            f"{', '.join(request.options.verify)}.",
            "Leave options.verify out, or name counts, hash or both.",
        )  # fmt: skip
