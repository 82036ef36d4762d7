"""What is refused, with the sentence that says why and what to do, and with the target left as it was."""

import io
import re
import tarfile
import zipfile
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from local.appsettings import FILES, PROFILE
from shared.errors import Finding
from shared.reporting.model import Report
from tests.e2e.stand import Stand


@pytest.fixture
def empty(running: Stand) -> Iterator[Stand]:
    """The stand, whose target must be as empty after a test as it was before."""
    assert (running.target_tables(), list(running.container(FILES).list_blob_names())) == ([], [])
    yield running
    assert (running.target_tables(), list(running.container(FILES).list_blob_names())) == ([], [])


def untouched(stand: Stand, report: Report) -> bool:
    """Whether a refused run has left the target empty, and nothing behind."""
    target = (stand.target_tables(), list(stand.container(FILES).list_blob_names()))
    left = (stand.staged(report.id), stand.temporary_databases())
    return report.target_written_at is None and target == ([], []) and left == ([], [])


def refused(stand: Stand, **request: Any) -> tuple[Report, Finding]:
    """Do a run that must be refused; its report and its first error."""
    report = stand.migrate(**request)
    assert report.verdict == "refused", report.reason
    error = next(finding for finding in report.findings if finding.severity == "error")
    assert f"[{error.code}]" in report.reason
    assert error.message in report.reason
    return report, error


def archive_of(members: dict[str, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as tar:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return packed.getvalue()


def test_a_truncated_archive(empty: Stand) -> None:
    whole = empty.snapshot.read_bytes()
    report, error = refused(empty, source=empty.put("truncated.tar.gz", whole[: len(whole) * 2 // 3]))
    assert (error.code, error.object) == ("ARCHIVE_CORRUPT", "snapshot archive")
    assert re.fullmatch(r"expected a whole gzip file, found .+ near byte [\d,]+ of the archive\.", error.message), (
        error.message
    )
    assert error.remedy == "Download the backup again and compare its size with the one the portal shows."
    assert untouched(empty, report)


def test_an_archive_with_names_that_leave_it(empty: Stand) -> None:
    name = "tree/../../../etc/passwd"
    source = empty.put("hostile.tar.gz", archive_of({".metadata": b"{}", name: b"root:x:0:0"}))
    report, error = refused(empty, source=source)
    assert error.code == "ARCHIVE_HOSTILE"
    assert error.object.strip("'") == name
    assert error.message.startswith("expected the files of a Mendix backup, found ")
    assert error.remedy == "Use the archive as Mendix Cloud made it; do not unpack and pack it again."
    assert untouched(empty, report)


@pytest.mark.parametrize("dump", [b"CREATE TABLE a (b int);\n", b"PGDMP\x01\x0e\x00\x04\x08\x01\x01" + b"\x00" * 40])
def test_a_dump_that_is_not_a_dump(empty: Stand, dump: bytes) -> None:
    source = empty.put("no-dump.tar.gz", archive_of({".metadata": b"{}", "db/db.backup": dump}))
    report, error = refused(empty, source=source)
    assert (error.code, error.object) == ("DUMP_UNREADABLE", "db/db.backup")
    assert error.message.startswith("expected a whole pg_dump custom-format dump, found ")
    assert error.remedy == "Download the backup again; a dump made by hand needs `pg_dump --format=custom`."
    assert untouched(empty, report)


def test_an_archive_without_a_database(empty: Stand) -> None:
    files = {".metadata": b"{}", "tree/ab/cd/abcd0000-0000-4000-8000-000000000000": b"file"}
    report, error = refused(empty, source=empty.put("files.tar.gz", archive_of(files)))
    assert error.code == "ARCHIVE_NO_DATABASE"
    assert error.message == "expected db/db.backup in the archive, found 1 files and no database."
    assert error.remedy == "Take a full backup (`files_and_database`); a files-only archive cannot be migrated."
    assert untouched(empty, report)


def test_a_zip(empty: Stand) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("db/db.backup", b"PGDMP")
    report, error = refused(empty, source=empty.put("backup.zip", packed.getvalue()))
    assert error.code == "ARCHIVE_UNKNOWN"
    assert error.message == (
        "expected a Mendix backup (tar.gz or tar with db/db.backup, or a pg_dump custom-format dump), "
        "found a zip archive."
    )
    assert error.remedy.startswith("Unpack it, put the .tar.gz or .backup that it holds into a storage container")
    assert [stage.name for stage in report.stages if stage.state == "failed"] == ["preflight"]
    assert untouched(empty, report)


def test_a_snapshot_of_another_model_version(empty: Stand) -> None:
    report, error = refused(empty, expected_model_version="99.0.0.1")
    assert error.code == "MODEL_VERSION_DIFFERS"
    assert re.fullmatch(r"expected a snapshot of model version 99\.0\.0\.1, found [\d.]+\.", error.message), (
        error.message
    )
    assert error.remedy == (
        "Deploy the expected version and take a new snapshot, or expect the version that the snapshot has."
    )
    assert untouched(empty, report)


def test_a_dry_run_writes_nothing_and_says_what_would_be_done(empty: Stand) -> None:
    report = empty.migrate(options={"dry_run": True})
    assert report.verdict == "planned"
    assert report.reason == "Dry run: the target was not written. The report says what would be done."
    assert {"preflight", "snapshot", "restore", "plan", "inspect"} <= {stage.name for stage in report.stages}
    assert not {"schema", "copy", "files"} & {stage.name for stage in report.stages}
    assert report.ddl
    assert "CREATE TABLE" in empty.written()[report.ddl].decode()
    handed = empty.api.report(report.id, "text/plain", what="schema").decode()
    assert "SET READ_COMMITTED_SNAPSHOT ON" in handed[: handed.index("CREATE TABLE")]
    assert untouched(empty, report)


def posted(stand: Stand, **body: Any) -> tuple[int, dict[str, Any]]:
    """Post a request that is refused at the door."""
    headers = {"x-functions-key": stand.stack.function_key}
    request = {"source": stand.from_blob, "target": PROFILE} | body
    answer = httpx.post(f"{stand.stack.url}/api/migrations", json=request, headers=headers, timeout=30)
    assert answer.headers["content-type"].startswith("application/problem+json")
    return answer.status_code, answer.json()


def test_an_unknown_target(empty: Stand) -> None:
    status, problem = posted(empty, target="elsewhere")
    assert (status, problem["code"], problem["object"]) == (400, "UNKNOWN_TARGET", "elsewhere")
    assert problem["detail"] == f"expected a target profile from the settings ({PROFILE})."
    assert problem["remedy"] == "Add app settings TARGET__ELSEWHERE__... or use a known profile."


@pytest.mark.parametrize("confirm", [{}, {"confirm": "production"}])
def test_a_drop_that_is_not_confirmed(empty: Stand, confirm: dict[str, str]) -> None:
    status, problem = posted(empty, target_not_empty="drop", **confirm)
    assert (status, problem["code"]) == (400, "INVALID_REQUEST")
    given = repr(confirm.get("confirm"))
    assert problem["detail"] == (
        f'(body): Value error, "target_not_empty": "drop" needs "confirm": "{PROFILE}" '
        f"(the target profile's name again), found {given}"
    )


def test_a_field_that_does_not_exist(empty: Stand) -> None:
    status, problem = posted(empty, target_not_emtpy="drop")
    assert (status, problem["code"]) == (400, "INVALID_REQUEST")
    assert problem["detail"] == "target_not_emtpy: Extra inputs are not permitted"


def test_a_call_without_the_key(empty: Stand) -> None:
    answer = httpx.post(f"{empty.stack.url}/api/migrations", json={"source": empty.from_blob, "target": PROFILE})
    assert answer.status_code == 401


def test_a_target_that_is_not_empty_and_then_is_dropped_by_name(running: Stand) -> None:
    with running.target() as connection:
        connection.execute("CREATE TABLE [dbo].[kept] ([id] int NOT NULL PRIMARY KEY)")
        connection.execute("INSERT INTO [dbo].[kept] ([id]) VALUES (42)")
    running.container(FILES).upload_blob("kept", b"precious")
    report, _ = refused(running)
    found = {finding.code: finding for finding in report.findings if finding.severity == "error"}
    assert set(found) == {"TARGET_NOT_EMPTY", "CONTAINER_NOT_EMPTY"}
    assert found["TARGET_NOT_EMPTY"].message == "expected no tables in schema dbo, found 1 with 1 rows."
    assert found["TARGET_NOT_EMPTY"].remedy == (
        'Use an empty database, or say `"target_not_empty": "drop"` with the profile\'s name in `"confirm"`.'
    )
    assert found["CONTAINER_NOT_EMPTY"].message == "expected an empty target container, found 1 blobs."
    assert found["CONTAINER_NOT_EMPTY"].remedy == (
        'Empty it, choose another container or prefix, or ask for "target_not_empty": "drop".'
    )
    with running.target() as connection:
        assert connection.execute("SELECT [id] FROM [dbo].[kept]").fetchall()[0][0] == 42
    assert running.written(FILES) == {"kept": b"precious"}
    assert report.target_written_at is None

    replaced = running.migrate(drop=True)
    assert (replaced.verdict, replaced.reason) == ("verified", "")
    assert running.differences() == []
