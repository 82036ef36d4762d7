"""Servers and settings for benches: Azurite with its data on disk, an embedded PostgreSQL, and a run."""

import json
import os
import secrets
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from threading import Lock
from typing import Any

from azure.storage.blob import BlobServiceClient

from activities import files, restore, snapshot
from local.azurite import Azurite
from local.postgres import PostgresServer
from orchestrators.restore import LOADS_AT_ONCE
from shared.blobs.clients import copy_source_url
from shared.contracts import Run
from shared.settings import settings
from shared.sources.url import stow_source_url

AT_ONCE = 4


@dataclass
class Stand:
    """Running servers, a folder for files, and the environment that settings are read from."""

    azurite: Azurite
    postgres: PostgresServer
    folder: Path
    environment: dict[str, str]

    @property
    def service(self) -> BlobServiceClient:
        """A client of the storage account."""
        return BlobServiceClient.from_connection_string(self.azurite.connection_string, max_single_get_size=256 << 20)

    def new_run(self, *, by_url: bool = False) -> dict[str, Any]:
        """The `run` part of a payload: its snapshot is the blob source/snapshot.

        By its URL with another host name than the account's, which the emulator does not follow.
        """
        now = datetime.now(UTC)
        source = {"kind": "url"} if by_url else {"kind": "blob", "container": "source", "blob": "snapshot"}
        ident = f"{now:%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"
        run = Run.model_validate(
            {"id": ident, "created_at": now.isoformat(), "request": {"source": source, "target": "bench"}}
        )
        if by_url:
            url = copy_source_url(settings().staging, self.service.get_blob_client("source", "snapshot"))
            stow_source_url(ident, url.replace("127.0.0.1", "localhost"))
        return {"run": run.model_dump(mode="json")}


@contextmanager
def stand() -> Iterator[Stand]:
    """Start everything in a folder of its own, and take it all away afterwards."""
    with (
        tempfile.TemporaryDirectory(prefix="mxferry-bench-", ignore_cleanup_errors=True) as name,
        Azurite(Path(name) / "azurite") as azurite,
        PostgresServer(Path(name) / "postgres") as postgres,
    ):
        environment = {
            "STAGING__CONNECTION_STRING": azurite.connection_string,
            "POSTGRES__HOST": postgres.host,
            "POSTGRES__PORT": str(postgres.port),
            "POSTGRES__USER": postgres.user,
            "POSTGRES__PASSWORD": postgres.password,
            "POSTGRES__SSLMODE": "disable",
            "ALLOW_HTTP_SOURCES": "true",
            "TARGET__BENCH__SQL__SERVER": "nowhere",
            "TARGET__BENCH__SQL__DATABASE": "none",
            "TARGET__BENCH__BLOB__CONNECTION_STRING": azurite.connection_string,
            "TARGET__BENCH__BLOB__CONTAINER": "target",
        }
        os.environ.update(environment)
        settings.cache_clear()
        found = Stand(azurite, postgres, Path(name), environment)
        for container in ("source", "mxferry-staging", "mxferry-reports", "target"):
            found.service.create_container(container)
        yield found


class History:
    """What the activities of a run have answered, as the durable engine keeps it: what has ended is not called again.

    With a file, a successor of a killed process goes on where that one stopped; activities under way are repeated.
    """

    def __init__(self, path: Path | None = None, tell: Callable[[str], None] = lambda activity: None) -> None:
        self._path, self._tell = path, tell
        self._lock = Lock()
        self._calls: Counter[str] = Counter()
        self._answers: dict[str, dict[str, Any]] = {}
        for line in path.read_text().splitlines() if path and path.exists() else []:
            with suppress(ValueError):  # the last line of a killed process may be cut
                self._answers.update(json.loads(line))

    def call(self, activity: Any, payload: dict[str, Any]) -> dict[str, Any]:
        """Call an activity once."""
        return self.many(activity, [payload])[0]

    def many(self, activity: Any, payloads: list[dict[str, Any]], at_once: int = AT_ONCE) -> list[dict[str, Any]]:
        """Call an activity once a payload, so many at a time."""
        name, first = activity.__name__, self._calls[activity.__name__]
        self._calls[name] += len(payloads)
        keys = [f"{name}-{first + number}" for number in range(len(payloads))]
        if missing := [(key, payload) for key, payload in zip(keys, payloads, strict=True) if key not in self._answers]:
            self._tell(name)
            with ThreadPoolExecutor(at_once) as pool:
                list(pool.map(lambda one: self._ended(one[0], done(activity(None, one[1]))), missing))
        return [self._answers[key] for key in keys]

    def _ended(self, key: str, answer: dict[str, Any]) -> None:
        with self._lock:
            self._answers[key] = answer
            if self._path:
                with self._path.open("a") as file:
                    file.write("\n" + json.dumps({key: answer}))


def take_snapshot(work: dict[str, Any], history: History | None = None) -> dict[str, Any]:
    """Do the snapshot stage as its orchestrator does; return the `SnapshotWork`."""
    history = history or History()
    described = history.call(snapshot.describe_source, work)
    facts = described["facts"]
    ranges = [{**work, "facts": facts, "first": first, "stop": stop} for first, stop in described["ranges"]]
    history.many(snapshot.stage_range, ranges)
    archive = {**work, "facts": facts, "size": facts["size"]}
    history.call(snapshot.commit_staged, archive)
    while not history.call(snapshot.inflate_archive, archive)["finished"]:
        pass
    return {**work, "snapshot": history.call(snapshot.seal_snapshot, archive)}


def restore_database(work: dict[str, Any], history: History | None = None) -> dict[str, Any]:
    """Do the restore stage as its orchestrator does; return the `RestoreRef`."""
    history = history or History()
    located = history.call(restore.read_contents, work)
    while not located["finished"]:
        located = history.call(restore.locate_tables, work)
    prepared = history.call(restore.prepare_database, work)
    waiting = [{**work, "batch": number} for number in range(prepared["batches"])]
    while waiting:
        answers = history.many(restore.load_tables, waiting, LOADS_AT_ONCE)
        waiting = [{**work, "batch": one["batch"]} for one in answers if not one["finished"]]
    return history.call(restore.finish_restore, work)


def copy_files(work: dict[str, Any], history: History | None = None) -> int:
    """Do the files stage as its orchestrator does; return the files."""
    history = history or History()
    plan = history.call(files.plan_files, work)
    batches = history.many(files.copy_batch, [{**work, "batch": number} for number in range(plan["batches"])])
    return sum(one["files"] for one in batches)


def verify_files(work: dict[str, Any], history: History) -> dict[str, Any]:
    """Compare the container with the index as the stage files-verify does; return what was found."""
    state = None
    while state is None or not state["finished"]:
        state = history.call(files.verify_listing, {**work, "state": state})
    return state


def done(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an activity's answer; a refusal ends the bench."""
    if "refused" in answer:
        raise RuntimeError(str(answer["refused"]))
    return answer
