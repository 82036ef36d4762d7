"""The app, its one environment, and the jobs on it. A job's state follows from the clock alone."""

import hashlib
import json
import tarfile
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

DAY = 86_400.0
HISTORY = 36  # snapshots that exist before the first call
CALENDAR = {"Automatically created nightly snapshot": 14, "Backup created by Mendix pipeline": 90, None: 90}
FAILURE = "Failed to create the backup: the database was not reachable"


@dataclass(frozen=True)
class Timing:
    """How long a job is queued and then running, in seconds."""

    queued: float = 0.5
    running: float = 1.5


@dataclass
class Job:
    """A snapshot, an archive, a restore, or a start of the app."""

    id: str
    created: float
    timing: Timing
    done_message: str
    failure: str | None = None

    def state(self, now: float) -> str:
        """Return `queued`, `running`, `completed` or `failed`."""
        age = now - self.created
        if age < self.timing.queued:
            return "queued"
        if age < self.timing.queued + self.timing.running:
            return "running"
        return "failed" if self.failure else "completed"

    def described(self, now: float) -> dict[str, Any]:
        """Return the fields that every job has."""
        state = self.state(now)
        over = state in ("completed", "failed")
        ended = self.created + self.timing.queued + self.timing.running
        return {
            "state": state,
            "status_message": (self.failure or self.done_message) if over else None,
            "created_at": iso(self.created),
            "finished_at": iso(ended) if over else None,
            "updated_at": iso(ended) if over else iso(self.created) if state == "running" else None,
        }


@dataclass
class Snapshot:
    """A snapshot; immutable once made, but for its comment."""

    job: Job
    comment: str | None
    model_version: str
    lifetime: float
    archives: dict[str, "Archive"] = field(default_factory=dict)

    def described(self, now: float) -> dict[str, Any]:
        """Return it as the API does; a failed one has no model version."""
        fields = {"snapshot_id": self.job.id, **self.job.described(now), "comment": self.comment}
        if fields["state"] != "failed":
            fields["model_version"] = self.model_version if fields["state"] == "completed" else None
        fields["expires_at"] = iso(self.job.created + self.lifetime)
        return fields


@dataclass
class Archive:
    """A download made from a snapshot."""

    job: Job
    snapshot: str
    data_type: str

    @property
    def file_name(self) -> str:
        """The name at the end of its URL."""
        stamp = datetime.fromtimestamp(self.job.created, UTC).strftime("%Y%m%d%H%M")
        if self.data_type == "database_only":
            return f"database-{self.job.id[:8]}-{stamp}.backup"
        return f"files_and_database-{self.job.id[:8]}-{stamp}.tar.gz"

    def described(self, now: float, url: str) -> dict[str, Any]:
        """Return it as the API does; the URL is there when the archive is."""
        fields = self.job.described(now)
        return {
            "archive_id": self.job.id,
            "snapshot_id": self.snapshot,
            "data_type": self.data_type,
            **fields,
            "url": url if fields["state"] == "completed" else None,
        }


class Environment:
    """One licensed app with a production environment, whose backup is a file on this machine."""

    def __init__(
        self, backup: Path, work: Path, timing: Timing, clock: Callable[[], float] = time.time, seed: int = 1
    ) -> None:
        identity = Random(f"mendix cloud {seed}")
        self.project_id = str(uuid.UUID(int=identity.getrandbits(128), version=4))
        self.environment_id = str(uuid.UUID(int=identity.getrandbits(128), version=4))
        self.app_id = "sample"
        self.mode = "Production"
        self.status = "Running"
        self.model_version = _model_version(backup)
        self.backup = backup
        self.timing = timing
        self.now = clock
        self._work = work
        self.snapshots: dict[str, Snapshot] = {}
        self.restores: dict[str, Job] = {}
        self.starts: dict[str, Job] = {}
        self.archive_failure: str | None = None
        self._remember(identity)

    def _remember(self, random: Random) -> None:
        comments = list(CALENDAR)
        for back in range(HISTORY, 0, -1):
            comment = comments[random.choice((0, 0, 0, 1, 2))]
            made = self.now() - back * DAY / 3
            job = Job(_uuid(random), made, Timing(5, 240), "Completed backup creation")
            if back % 12 == 5:
                job.failure = FAILURE
            self.snapshots[job.id] = Snapshot(job, comment, self.model_version, CALENDAR[comment] * DAY)

    def newest_first(self) -> list[Snapshot]:
        """Return all snapshots that have not expired."""
        alive = [one for one in self.snapshots.values() if one.job.created + one.lifetime > self.now()]
        return sorted(alive, key=lambda one: -one.job.created)

    def busy(self) -> bool:
        """Tell whether a snapshot or a restore is being made."""
        jobs = [one.job for one in self.snapshots.values()] + list(self.restores.values())
        return any(job.state(self.now()) in ("queued", "running") for job in jobs)

    def job(self, message: str) -> Job:
        """Begin a job."""
        return Job(str(uuid.uuid4()), self.now(), self.timing, message)

    def file_of(self, archive: Archive) -> Path:
        """Return the file that an archive's URL serves; a database archive is taken out of the backup once."""
        if archive.data_type == "files_and_database" or not is_gzip(self.backup):
            return self.backup
        found = self.backup.stat()
        version = f"{self.backup.resolve()} {found.st_size} {found.st_mtime_ns}"
        wanted = self._work / f"{hashlib.sha256(version.encode()).hexdigest()[:12]}.backup"
        if not wanted.exists():
            with tarfile.open(self.backup) as tar:
                dump = tar.extractfile("db/db.backup")
                if dump is None:
                    raise FileNotFoundError(f"{self.backup} holds no db/db.backup")
                unfinished = wanted.with_suffix(".part")
                with unfinished.open("wb") as file:
                    while piece := dump.read(1 << 20):
                        file.write(piece)
                unfinished.rename(wanted)
        return wanted


def iso(moment: float) -> str:
    """Return a moment as the API writes it: UTC, milliseconds, Z."""
    text = (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=moment)).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")


def is_gzip(path: Path) -> bool:
    """Tell whether a file begins as gzip does."""
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _model_version(backup: Path) -> str:
    """Return the model version that the backup's .metadata tells, if it is the first member."""
    if is_gzip(backup):
        with tarfile.open(backup, mode="r|gz") as tar:
            first = tar.next()
            if first is not None and first.name.removeprefix("./") == ".metadata":
                content = tar.extractfile(first)
                if content is not None:
                    return str(json.loads(content.read())["modelVersion"])
    return "1.0.0.1"


def _uuid(random: Random) -> str:
    return str(uuid.UUID(int=random.getrandbits(128), version=4))
