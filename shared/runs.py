"""Records of runs, kept in the reports container: who runs what, on which target, with which findings.

Every write is conditional or idempotent, because requests are repeated and activities are delivered twice:
`idempotency/<hash>.json` gives a repeated request its first run id, `locks/target-<profile>.json` admits one run a
target, `runs/<id>/run.json` describes a run, `runs/<id>/abort.json` asks it to stop, `runs/<id>/side-failed.json` says that
one of its sides has failed, `runs/<id>/app-start.json` that it has asked the target app to start,
`runs/<id>/closed.json` that its clean-up has begun, `untold/<id>` that its channels have not heard everything.
"""

import contextlib
import hashlib
import json
import secrets
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from azure.core import MatchConditions
from azure.core.exceptions import ResourceExistsError, ResourceModifiedError, ResourceNotFoundError
from azure.storage.blob import ContainerClient, ContentSettings
from pydantic import BaseModel, TypeAdapter

from shared import runpaths
from shared.blobs import clients
from shared.contracts import RUN_ID, Run, Said
from shared.errors import Finding, Refusal
from shared.request import MigrationRequest

_JSON = ContentSettings(content_type="application/json")
_FINDINGS = TypeAdapter(list[Finding])


class Holder(BaseModel):
    """The run that holds a target, and the ETag under which its lock was read."""

    run: str
    etag: str = ""


class AbortAsked(Said):
    """Who asked a run to stop, and when (0.1.0 did not keep the time)."""

    at: datetime | None = None


def new_id(now: datetime) -> str:
    """Return a run id that sorts by time: `20261128t203000-3f9a1c`."""
    return f"{now:%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"


def asked_at(run_id: str) -> datetime:
    """Return when a run was asked for, to the second, as its id says."""
    return datetime.strptime(run_id.partition("-")[0], "%Y%m%dt%H%M%S").replace(tzinfo=UTC)


def reserve(request: MigrationRequest, key: str | None, now: datetime) -> tuple[str, bool]:
    """Return the run id for a request, and whether it is new.

    The same idempotency key always gives the same id. `Refusal` IDEMPOTENCY_KEY_REUSED when the key came with another
    body before.
    """
    proposed = new_id(now)
    if key is None:
        return proposed, True
    name = _key_name(key)
    body = hashlib.sha256(request.model_dump_json(exclude={"idempotency_key"}).encode()).hexdigest()
    if create(name, {"run": proposed, "body": body}):
        return proposed, True
    first = _load(name) or {}
    if first.get("body") != body:
        raise Refusal(
            "IDEMPOTENCY_KEY_REUSED", "Idempotency-Key",
            f"expected the request that first used this key (run {first.get('run')}), found another one.",
            "Repeat the first request unchanged, or use a new key.",
        )  # fmt: skip
    return str(first["run"]), False


def reserved(key: str) -> str | None:
    """Return the run id that an idempotency key was given; None where it never came."""
    first = _load(_key_name(key))
    return None if first is None else str(first["run"])


def _key_name(key: str) -> str:
    return f"idempotency/{hashlib.sha256(key.encode()).hexdigest()}.json"


def take_target(profile: str, run: str) -> Holder | None:
    """Take the target for a run; return None on success, else who holds it."""
    name = lock_name(profile)
    if create(name, {"run": run}):
        return None
    blob = clients.reports().get_blob_client(name)
    try:
        found = blob.download_blob()
    except ResourceNotFoundError:
        return take_target(profile, run)
    holder = Holder(run=json.loads(found.readall())["run"], etag=found.properties.etag)
    return None if holder.run == run else holder


def take_over_target(profile: str, run: str, holder: Holder) -> bool:
    """Take the target from a run that is over; False when somebody else was faster."""
    blob = clients.reports().get_blob_client(lock_name(profile))
    try:
        blob.upload_blob(
            json.dumps({"run": run}), overwrite=True, content_settings=_JSON,
            etag=holder.etag, match_condition=MatchConditions.IfNotModified,
        )  # fmt: skip
    except (ResourceModifiedError, ResourceNotFoundError):
        return False
    return True


def save(run: Run) -> None:
    """Write the run's record; a repeated request writes the same. From now on there is something to tell of it."""
    create(runpaths.of_run(run.id, runpaths.RUN), run.model_dump(mode="json"))
    create(f"untold/{run.id}", {})


def untold() -> list[str]:
    """Return the ids of the runs whose channels have not heard everything, newest first."""
    found = (name.removeprefix("untold/") for name in names("untold/"))
    return sorted((one for one in found if RUN_ID.match(one)), reverse=True)


def mark_told(run_id: str) -> None:
    """Mark that a run is over and its channels have heard everything."""
    with contextlib.suppress(ResourceNotFoundError):
        _container().delete_blob(f"untold/{run_id}")


def load(run_id: str) -> Run:
    """Return a run's record; `Refusal` UNKNOWN_RUN if there is none."""
    record = _load(runpaths.of_run(run_id, runpaths.RUN)) if RUN_ID.match(run_id) else None
    if record is None:
        raise Refusal(
            "UNKNOWN_RUN", run_id, "expected the id of a migration, found no record of it.",
            "GET /api/migrations lists the known ones.",
        )  # fmt: skip
    return Run.model_validate(record)


def ids(limit: int, before: str | None = None) -> list[str]:
    """Return at most `limit` run ids, newest first, older than `before`."""
    found = [
        prefix.name.split("/")[1]
        for prefix in _container().walk_blobs(name_starts_with=runpaths.RUNS, delimiter="/")
        if prefix.name.endswith("/")
    ]
    known = sorted((one for one in found if RUN_ID.match(one)), reverse=True)
    return [one for one in known if before is None or one < before][:limit]


def ask_to_abort(run_id: str, said: Said) -> None:
    """Ask a run to stop; every activity of it looks at this before it works. The first asker stays."""
    create(
        runpaths.of_run(run_id, runpaths.ABORT), said.model_dump(mode="json") | {"at": datetime.now(UTC).isoformat()}
    )


def asked_to_abort(run_id: str) -> AbortAsked | None:
    """Return who asked the run to stop, and when; None where nobody did."""
    record = _load(runpaths.of_run(run_id, runpaths.ABORT))
    return AbortAsked.model_validate(record) if record is not None else None


def stop_if_aborted(run_id: str) -> None:
    """Raise `Refusal` ABORTED if somebody asked the run to stop."""
    said = asked_to_abort(run_id)
    if said is not None:
        raise Refusal(
            "ABORTED", run_id, f"aborted by {said.who}. {said.comment}".strip(),
            "What was running ended or was rolled back; the report says what the target holds.",
        )  # fmt: skip


def end_sides(run_id: str, failed: str) -> str:
    """Say that one side of a run has failed, so that the other one stops; returns the name of the mark."""
    name = runpaths.of_run(run_id, runpaths.SIDE_FAILED)
    create(name, {"failed": failed})
    return name


def stop_if_side_failed(run_id: str) -> None:
    """Raise `Refusal` OTHER_SIDE_FAILED if one side of the run, database or files, has failed."""
    record = _load(runpaths.of_run(run_id, runpaths.SIDE_FAILED))
    if record is not None:
        raise Refusal(
            "OTHER_SIDE_FAILED", run_id, f"expected both sides of the run to go on, found that one failed: {record['failed']}.",
            "What was running ended or was rolled back; the report says what the target holds.",
        )  # fmt: skip


def ask_start(run_id: str) -> None:
    """Note, before it is done, that the run asks the target app to start."""
    create(runpaths.of_run(run_id, runpaths.APP_START), {})


def stop_if_start_asked(run_id: str) -> None:
    """Raise `Refusal` APP_START_ASKED if the run has asked the target app to start: nothing of it may stop the app now."""
    if _load(runpaths.of_run(run_id, runpaths.APP_START)) is not None:
        raise Refusal(
            "APP_START_ASKED", run_id, "expected an app to stop before the target is written, found that this run has "
            "asked it to start since: this delivery came too late.",
            "Nothing to do; nothing was done.",
        )  # fmt: skip


def close(run_id: str, keep_days: int | None = None) -> None:
    """Say that the run does no more work: its clean-up begins. `shared.remains` says what is kept; the first word stays."""
    create(runpaths.of_run(run_id, runpaths.CLOSED), {"keep_days": keep_days})


def closed(run_id: str) -> bool:
    """Say whether the run's clean-up has begun."""
    return read(runpaths.of_run(run_id, runpaths.CLOSED)) is not None


def stop_if_closed(run_id: str) -> None:
    """Raise `Refusal` RUN_OVER if the run has begun to clean up.

    A delivery that comes so late, from a worker that was frozen or cut off, must not touch the target again: the rows
    there are verified by now, and a second `create_schema` would find no marker of the run and drop them.
    """
    if closed(run_id):
        raise Refusal(
            "RUN_OVER", run_id, "expected a run that goes on, found it cleaned up: this delivery came too late.",
            "Nothing to do; nothing was done.",
        )  # fmt: skip


def stop_if_replaced(profile: str, run_id: str) -> None:
    """Raise `Refusal` RUN_OVER if another run has taken the target over: this one was given up without a clean-up."""
    lock = _load(lock_name(profile))
    if lock is not None and lock["run"] != run_id:
        raise Refusal(
            "RUN_OVER", run_id, f"expected to hold the target, found it taken by run {lock['run']} since.",
            "Nothing to do; nothing was done.",
        )  # fmt: skip


def over_for(run: Run) -> Callable[[str], bool]:
    """Return what `sqlserver.marker.may_begin` asks of a run, under the schema's lock: whether it is closed.

    Asked of `run` itself it raises `Refusal` RUN_OVER as well where its target is another run's by now.
    """

    def is_over(run_id: str) -> bool:
        if run_id == run.id:
            stop_if_replaced(run.request.target, run_id)
        return closed(run_id)

    return is_over


def save_findings(run_id: str, findings: list[Finding]) -> None:
    """Write the findings so far, for the API and the page."""
    write(runpaths.of_run(run_id, runpaths.FINDINGS), _FINDINGS.dump_json(findings), "application/json")


def findings(run_id: str) -> list[Finding]:
    """Return the findings so far."""
    stored = read(runpaths.of_run(run_id, runpaths.FINDINGS))
    return _FINDINGS.validate_json(stored) if stored else []


def write(name: str, body: bytes, content_type: str) -> None:
    """Write a blob of the reports container."""
    settings = ContentSettings(content_type=content_type)
    _container().upload_blob(name, body, overwrite=True, content_settings=settings)


def read(name: str) -> bytes | None:
    """Return a blob of the reports container, or None."""
    try:
        return bytes(_container().download_blob(name).readall())
    except ResourceNotFoundError:
        return None


def names(prefix: str) -> list[str]:
    """Return the names of the blobs of the reports container that begin with `prefix`."""
    return list(_container().list_blob_names(name_starts_with=prefix))


def _container() -> ContainerClient:
    return clients.reports()


def lock_name(profile: str) -> str:
    """Return the blob of the reports container that says which run holds a target."""
    return f"locks/target-{profile}.json"


def create(name: str, body: dict[str, Any]) -> bool:
    """Create a JSON blob of the reports container; False if it exists already."""
    try:
        _container().upload_blob(name, json.dumps(body), overwrite=False, content_settings=_JSON)
    except ResourceExistsError:
        return False
    return True


def _load(name: str) -> dict[str, Any] | None:
    stored = read(name)
    return json.loads(stored) if stored is not None else None
