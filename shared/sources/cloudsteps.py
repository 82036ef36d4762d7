"""The steps from a Mendix Cloud environment to a download URL in staging, each short and safe to repeat."""

from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from shared import runpaths
from shared.blobs import documents
from shared.blobs.clients import reported, staged
from shared.contracts import Run
from shared.errors import Refusal
from shared.request import MendixCloudSource
from shared.settings import MendixCloud, settings
from shared.sources.mendixcloud import Busy, CloudSnapshot, MendixCloudApi, StopFailed
from shared.sources.url import stow_source_url

State = Literal["done", "wait"]

TIMER_SECONDS = 120.0
"""Most seconds of one timer: the run notices an abort when it ends, and waits on if Mendix Cloud asks for longer."""
STOPS = 5
"""Attempts at stopping an app that Mendix Cloud says it could not stop."""
SETTLING = 60.0
"""Seconds in which an app that was asked to stop may still say that it runs."""


class Step(BaseModel):
    """The outcome of a step: done, or to be asked again after `seconds`. Holds no URL."""

    model_config = ConfigDict(extra="forbid")

    state: State
    seconds: float = 0
    not_before: AwareDatetime | None = Field(default=None, description="Until when Mendix Cloud is not to be asked.")
    note: str = ""
    snapshot: str | None = None
    archive: str | None = None
    outcome: Literal["started", "not-ours"] | None = Field(
        default=None, description="Of a start that is done: whether this run has started the app."
    )


class _Requested(BaseModel):
    """Which archive this run asked for, so that a second delivery does not ask for another."""

    archive: str


class _Stopped(BaseModel):
    """This run found the app running, and asks it to stop."""

    asked_at: AwareDatetime


class _Starting(BaseModel):
    """This run asked the app to start again: the job's id, None where it ran already."""

    job: str | None


def profile_of(source: MendixCloudSource) -> MendixCloud:
    """Return the environment's settings. Raises `Refusal` SOURCE_PROFILE_INCOMPLETE."""
    found = settings().source_profile(source.profile).mendix_cloud
    if found is None:
        raise Refusal(
            "SOURCE_PROFILE_INCOMPLETE",
            source.profile,
            "expected a source profile with a Mendix Cloud environment, found none in it.",
            f"Add the app settings SOURCE__{source.profile.upper().replace('-', '_')}__MENDIX_CLOUD__….",
        )
    return found


def stop_app(run: Run, source: MendixCloudSource) -> Step:
    """Stop the source app, if the request says so, and wait until it has stopped."""
    if not source.stop_app:
        return Step(state="done")
    api = MendixCloudApi(profile_of(source))
    try:
        if api.environment().Status in ("Stopped", "Empty"):
            return Step(state="done", note="the source app has stopped")
        # Noted before it is done: an app that was stopped without a note would never be started again.
        documents.write_once(reported(run.id, runpaths.SOURCE_STOPPED), _Stopped(asked_at=datetime.now(UTC)))
        api.stop()
    except StopFailed as failed:
        _count_failed_stop(run, source, failed)
        return _waiting(failed)
    except Busy as busy:
        return _waiting(busy)
    return Step(state="wait", note="the source app is stopping")


def _count_failed_stop(run: Run, source: MendixCloudSource, failed: StopFailed) -> None:
    """Raise `Refusal` MENDIX_STOP_FAILED at the last of the attempts; each is a blob in staging that is written once."""
    now = _Stopped(asked_at=datetime.now(UTC))
    notes = ((number, staged(run.id, runpaths.failed_stop(number))) for number in count(1))
    attempt = next(number for number, note in notes if documents.write_once(note, now))
    if attempt >= STOPS:
        raise Refusal(
            "MENDIX_STOP_FAILED",
            source.profile,
            f"expected the source app to stop, found that {attempt} attempts failed; the last: {failed.why}.",
            "Look at the app in the Mendix portal and stop it there, then start the migration again.",
        )


def too_early(not_before: datetime | None) -> Step | None:
    """Return the step that waits on, where Mendix Cloud has asked not to be called before a time that is still to come."""
    left = (not_before - datetime.now(UTC)).total_seconds() if not_before else 0.0
    if not_before is None or left <= 0:
        return None
    note = f"Mendix Cloud asks to wait until {not_before:%Y-%m-%d %H:%M} UTC"
    return Step(state="wait", seconds=min(left, TIMER_SECONDS), not_before=not_before, note=note)


def start_app(run: Run, source: MendixCloudSource) -> Step:
    """Start the source app again and wait until it runs; nothing is done to an app that this run has not stopped."""
    stopped = documents.read(reported(run.id, runpaths.SOURCE_STOPPED), _Stopped)
    if stopped is None:
        return Step(state="done", outcome="not-ours", note="this run has not stopped the source app")
    api = MendixCloudApi(profile_of(source))
    starting = documents.read(reported(run.id, runpaths.SOURCE_STARTING), _Starting)
    try:
        if starting is None:
            return _begun(run, api, stopped)
        if starting.job is None or api.started(starting.job) or api.environment().Status == "Running":
            return Step(state="done", outcome="started", note="the source app runs again")
    except Busy as busy:
        return _waiting(busy)
    return Step(state="wait", note="the source app is starting")


def _begun(run: Run, api: MendixCloudApi, stopped: _Stopped) -> Step:
    settling = (datetime.now(UTC) - stopped.asked_at).total_seconds() < SETTLING
    if settling and api.environment().Status == "Running":
        # The stop was asked for a moment ago and has not come yet; it must not come after the start.
        return Step(state="wait", seconds=5, note="the source app is still stopping")
    documents.write_once(reported(run.id, runpaths.SOURCE_STARTING), _Starting(job=api.start()))
    return Step(state="wait", seconds=5, note="the source app is starting")


def choose_snapshot(run: Run, source: MendixCloudSource) -> Step:
    """Find the snapshot the request asks for, or ask for a new one; its id is in the step."""
    api = MendixCloudApi(profile_of(source))
    comment = f"mxferry {run.id}"
    try:
        if source.snapshot == "new":
            # A delivery before this one may have asked for it: its comment says so.
            found = next((one for one in api.snapshots() if one.comment == comment), None) or api.create(comment)
        elif source.snapshot == "latest":
            found = _latest(api, source)
        else:
            found = api.snapshot(source.snapshot)
    except Busy as busy:
        return _waiting(busy)
    _not_before(run, found)
    return _snapshot_step(found)


def _not_before(run: Run, found: CloudSnapshot) -> None:
    """Refuse a snapshot that is older than the agreed time: what the users did in between would be lost."""
    agreed, made = run.request.snapshot_at, found.created_at
    if agreed is not None and made is not None and made < agreed:
        raise Refusal(
            "SNAPSHOT_TOO_OLD",
            found.snapshot_id,
            f"expected a snapshot made at {agreed.isoformat()} or later, found one of {made.isoformat()}.",
            'Ask for "snapshot": "new", or for an earlier snapshot time.',
        )


def poll_snapshot(source: MendixCloudSource, snapshot: str) -> Step:
    """Ask whether the snapshot is complete. Raises `Refusal` MENDIX_SNAPSHOT_FAILED with Mendix's reason."""
    try:
        return _snapshot_step(MendixCloudApi(profile_of(source)).snapshot(snapshot))
    except Busy as busy:
        return _waiting(busy, snapshot)


def request_archive(run: Run, source: MendixCloudSource, snapshot: str, renewal: int) -> Step:
    """Ask for a download archive, once a renewal; its id is in the step."""
    note = staged(run.id, runpaths.renewed_archive(renewal))
    known = documents.read(note, _Requested)
    try:
        archive = known.archive if known else MendixCloudApi(profile_of(source)).request_archive(snapshot).archive_id
    except Busy as busy:
        return _waiting(busy, snapshot)
    documents.write_once(note, _Requested(archive=archive))
    return Step(state="done", snapshot=snapshot, archive=archive)


def poll_archive(run: Run, source: MendixCloudSource, snapshot: str, archive: str) -> Step:
    """Ask whether the archive is complete; when it is, keep its URL in staging."""
    try:
        found = MendixCloudApi(profile_of(source)).archive(snapshot, archive)
    except Busy as busy:
        return _waiting(busy, snapshot, archive)
    if found.state == "failed":
        raise Refusal(
            "MENDIX_ARCHIVE_FAILED",
            archive,
            f"expected a download archive, found that Mendix Cloud could not make it: {found.status_message or '?'}",
            "Start the migration again; if it fails again, choose another snapshot or ask Mendix support.",
        )
    if found.state != "completed" or found.url is None:
        return Step(state="wait", note=f"archive {found.state}", snapshot=snapshot, archive=archive)
    if not staged(run.id, runpaths.ARCHIVE).exists():  # else this delivery is late: the URL was forgotten, and stays so
        stow_source_url(run.id, found.url.get_secret_value())
    return Step(state="done", snapshot=snapshot, archive=archive)


def _latest(api: MendixCloudApi, source: MendixCloudSource) -> CloudSnapshot:
    completed = [one for one in api.snapshots() if one.state == "completed" and one.created_at]
    if not completed:
        raise Refusal(
            "MENDIX_NO_SNAPSHOT",
            source.profile,
            "expected a completed snapshot in this environment, found none.",
            'Ask for "snapshot": "new", or make a backup in the portal.',
        )
    return max(completed, key=lambda one: one.created_at.timestamp() if one.created_at else 0.0)


def _snapshot_step(found: CloudSnapshot) -> Step:
    if found.state == "failed":
        raise Refusal(
            "MENDIX_SNAPSHOT_FAILED",
            found.snapshot_id,
            f"expected a completed snapshot, found that it failed: {found.status_message or 'no reason given'}",
            "Look at the environment's backups in the Mendix portal, then start the migration again.",
        )
    done = found.state == "completed"
    return Step(state="done" if done else "wait", note=f"snapshot {found.state}", snapshot=found.snapshot_id)


def _waiting(busy: Busy, snapshot: str | None = None, archive: str | None = None) -> Step:
    not_before = datetime.now(UTC) + timedelta(seconds=busy.seconds) if busy.seconds > TIMER_SECONDS else None
    seconds = min(busy.seconds, TIMER_SECONDS)
    return Step(state="wait", seconds=seconds, not_before=not_before, note=busy.why, snapshot=snapshot, archive=archive)
