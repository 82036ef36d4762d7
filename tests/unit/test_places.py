"""Where the report says that the data of a run lies, and until when."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.contracts import Run, StageState
from shared.remains import Part, Remains
from shared.reporting.model import Place
from shared.reporting.places import NOT_TOLD, Moved, places
from shared.settings import Settings

NOW = datetime(2026, 11, 28, 20, 0, tzinfo=UTC)
KEY = "a2V5LW9mLXRoZS1hY2NvdW50"
SETTINGS: dict[str, Any] = {
    "staging": {"connection_string": f"DefaultEndpointsProtocol=https;AccountName=mxfstage;AccountKey={KEY}"},
    "postgres": {"host": "pg.example.org", "user": "app", "password": "pg-password"},
    "taskhub_name": "mxferry",
    "retention": {"staging_days": 14, "postgres_backup_days": 7, "log_days": 90},
    "target": {
        "live": {
            "sql": {"server": "sql.example.org", "database": "app", "user": "sa", "password": "sql-password", "backup_days": 14},
            "blob": {"account_url": "https://mxffiles.blob.core.windows.net", "container": "files", "soft_delete_days": 7},
        },
        "theirs": {
            "kind": "postgres",
            "postgres": {"host": "their.example.org", "user": "app", "database": "shop", "password": "x"},
            "blob": {"account_url": "https://theirs.blob.core.windows.net", "container": "files"},
        },
    },
}  # fmt: skip


def seen(stages: str, *, target: str = "live", remains: Remains | None = None, **options: Any) -> dict[str, Place]:
    source = {"kind": "mendix-cloud", "profile": "shop", "snapshot": "new"}
    mode = {"target_mode": "postgres"} if target == "theirs" else {}
    request = {"source": source, "target": target, "options": {**mode, **options}}
    run = Run.model_validate({"id": "20261128t200000-abc123", "created_at": NOW, "request": request})
    states = [StageState(name=name, state="done", started_at=NOW, ended_at=NOW) for name in stages.split()]
    found = places(Moved(run, states, "copy" in stages, remains), Settings(**SETTINGS))
    return {one.name: one for one in found}


def test_every_place_is_named_with_what_lies_there_and_until_when() -> None:
    found = seen("preflight snapshot restore copy", remains=Remains())
    assert {name: (one.where, one.until) for name, one in found.items()} == {
        "source": (
            "Mendix Cloud, profile shop, a new snapshot",
            "stays as it was; the backup that this run asked for stays among those of the environment",
        ),
        "staging": (
            "storage account mxfstage, container mxferry-staging, runs/20261128t200000-abc123/",
            "deleted at the clean-up; a rule of the account deletes what is older than 14 days",
        ),
        "temporary database": (
            "pg.example.org:5432, database run_20261128t200000_abc123",
            "deleted at the clean-up",
        ),
        "back-ups of the temporary server": (
            "pg.example.org:5432",
            "7 days after the database is dropped, or until the server is deleted",
        ),
        "target database": (
            "sql.example.org, database app",
            "stays: it is the destination. Its back-ups, also of what a run dropped there: 14 days",
        ),
        "target files": (
            "mxffiles.blob.core.windows.net, container files",
            "stays: it is the destination. What is deleted there can be brought back: 7 days",
        ),
        "reports": (
            "storage account mxfstage, container mxferry-reports, runs/20261128t200000-abc123/",
            "kept until you delete it",
        ),
        "durable history": ("task hub mxferry", "kept until it is purged"),
        "logs": ("the app's Log Analytics workspace", "90 days"),
    }
    assert found["target database"].holds == "the app's database"
    said = str(found)
    assert not [secret for secret in ("pg-password", "sql-password", KEY) if secret in said]


def test_a_run_that_failed_early_says_what_it_never_made() -> None:
    found = seen("preflight", remains=Remains())
    for name in (
        "staging",
        "temporary database",
        "back-ups of the temporary server",
        "target database",
        "target files",
    ):
        assert found[name].holds.startswith("nothing"), name
    assert found["source"].until == "stays as it was"


@pytest.mark.parametrize(
    ("remains", "staging", "database"),
    [
        (None, "until the clean-up of this run", "until the clean-up of this run"),
        (Remains(kept_until=NOW + timedelta(days=7)), "kept until 2026-12-05 20:00:00 UTC, then deleted within the hour", "kept until 2026-12-05 20:00:00 UTC, then deleted within the hour"),
        (Remains(left={"database": "Not deleted: it is locked."}), "deleted at the", "still there, the sweep tries every hour. Not deleted: it is locked."),
    ],
)  # fmt: skip
def test_what_is_kept_or_could_not_be_deleted_is_said(remains: Remains | None, staging: str, database: str) -> None:
    found = seen("snapshot restore copy", remains=remains)
    assert found["staging"].until.startswith(staging)
    assert found["temporary database"].until.startswith(database)


def test_a_target_that_is_postgresql_has_no_temporary_database_and_what_others_configured_is_theirs_to_say() -> None:
    found = seen("snapshot copy", target="theirs", remains=Remains())
    assert not {"temporary database", "back-ups of the temporary server"} & set(found)
    assert found["target database"].where == "their.example.org:5432, database shop"
    assert found["target database"].until.endswith(NOT_TOLD)
    assert found["target files"].until.endswith(NOT_TOLD)


def test_values_of_rows_in_the_reports_are_said_where_the_request_asks_for_them() -> None:
    assert "no other value" in seen("snapshot")["reports"].holds
    assert "show_values" in seen("snapshot", show_values=True)["reports"].holds


def test_the_parts_that_may_be_left_are_those_of_the_clean_up() -> None:
    assert {"staging", "database"} <= set(Part.__args__)  # type: ignore[attr-defined]
