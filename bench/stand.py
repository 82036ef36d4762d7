"""Servers and settings for benches: Azurite with its data on disk, an embedded PostgreSQL, and a run."""

import os
import secrets
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from azure.storage.blob import BlobServiceClient

from activities import files, restore, snapshot
from local.azurite import Azurite
from local.postgres import PostgresServer
from shared.contracts import Run
from shared.settings import settings

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

    def new_run(self, blob: str = "snapshot") -> dict[str, Any]:
        """The `run` part of a payload: its snapshot is a blob in the container `source`."""
        now = datetime.now(UTC)
        request = {"source": {"kind": "blob", "container": "source", "blob": blob}, "target": "bench"}
        ident = f"{now:%Y%m%dt%H%M%S}-{secrets.token_hex(3)}"
        run = Run.model_validate({"id": ident, "created_at": now.isoformat(), "request": request})
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


def take_snapshot(work: dict[str, Any]) -> dict[str, Any]:
    """Do the snapshot stage as its orchestrator does; return the `SnapshotWork`."""
    described = done(snapshot.describe_source(None, work))
    facts = described["facts"]
    many(snapshot.stage_range, [{**work, "facts": facts, "first": a, "stop": b} for a, b in described["ranges"]])
    archive = {**work, "facts": facts, "size": facts["size"]}
    done(snapshot.commit_staged(None, archive))
    while not done(snapshot.inflate_archive(None, archive))["finished"]:
        pass
    return {**work, "snapshot": done(snapshot.seal_snapshot(None, archive))}


def restore_database(work: dict[str, Any]) -> dict[str, Any]:
    """Do the restore stage as its orchestrator does; return the `RestoreRef`."""
    located = done(restore.read_contents(None, work))
    while not located["finished"]:
        located = done(restore.locate_tables(None, work))
    prepared = done(restore.prepare_database(None, work))
    many(restore.load_tables, [{**work, "batch": number} for number in range(prepared["batches"])])
    return done(restore.finish_restore(None, work))


def copy_files(work: dict[str, Any]) -> int:
    """Do the files stage as its orchestrator does; return the files."""
    plan = done(files.plan_files(None, work))
    return sum(one["files"] for one in many(files.copy_batch, [{**work, "batch": n} for n in range(plan["batches"])]))


def many(activity: Any, payloads: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Call an activity once a payload, four at a time."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        return list(pool.map(lambda payload: done(activity(None, payload)), payloads))


def done(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an activity's answer; a refusal ends the bench."""
    if "refused" in answer:
        raise RuntimeError(str(answer["refused"]))
    return answer
