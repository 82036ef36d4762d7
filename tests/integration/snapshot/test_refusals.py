"""Every archive that is no backup is refused in a sentence, and none is silently short."""

import gzip
import io
import tarfile
from pathlib import Path

import psycopg
import pytest

from local.postgres import PostgresServer
from orchestrators.calling import StageRefused
from orchestrators.files import copy_files
from orchestrators.restore import restore_database
from orchestrators.snapshot import take_snapshot
from shared.settings import settings
from shared.snapshot import staging
from tests.fixtures.postgres import dumped
from tests.fixtures.runs import new_run
from tests.integration.snapshot.archives import backup, file_name, tar_of, uuid_of
from tests.integration.snapshot.conftest import Stand


def refused(stand: Stand, archive: bytes) -> tuple[str, str, str]:
    stand.give(archive)
    return stand.refusal(take_snapshot, stand.work)


def test_a_truncated_tar_gz_is_refused(stand: Stand, sample_snapshot: Path) -> None:
    raw = sample_snapshot.read_bytes()
    code, about, message = refused(stand, raw[: len(raw) // 2])
    assert (code, about) == ("ARCHIVE_CORRUPT", "snapshot archive")
    assert message.startswith(
        "expected a whole gzip file, found its end in the middle of the compressed data near byte "
    )


def test_a_gzip_with_a_truncated_tar_inside_is_refused(stand: Stand, sample_dump: Path) -> None:
    tar = tar_of([("db/db.backup", sample_dump.read_bytes()), (file_name(uuid_of(1)), bytes(100_000))])
    code, _, message = refused(stand, gzip.compress(tar[: len(tar) - 50_000], 1))
    assert code == "ARCHIVE_CORRUPT"
    assert f"found its end in the middle of '{file_name(uuid_of(1))}'" in message


def test_a_damaged_tar_gz_is_refused(stand: Stand, sample_snapshot: Path) -> None:
    raw = bytearray(sample_snapshot.read_bytes())
    raw[len(raw) // 2] ^= 0xFF
    code, _, _ = refused(stand, bytes(raw))
    assert code == "ARCHIVE_CORRUPT"


@pytest.mark.parametrize("name", ["../../etc/cron.d/x", "/etc/passwd", "tree/../../x"])
def test_names_that_leave_the_archive_are_refused(stand: Stand, name: str) -> None:
    code, about, message = refused(stand, backup(b"PGDMP", [], (name, b"x")))
    assert (code, about) == ("ARCHIVE_HOSTILE", name)
    kind = "an absolute path" if name.startswith("/") else "a path that climbs out of the archive"
    assert message == f"expected the files of a Mendix backup, found {kind}."


def test_a_link_is_refused(stand: Stand) -> None:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w:gz") as tar:
        link = tarfile.TarInfo("db/db.backup")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/shadow"
        tar.addfile(link)
    assert refused(stand, target.getvalue()) == (
        "ARCHIVE_HOSTILE",
        "db/db.backup",
        "expected the files of a Mendix backup, found a symbolic link.",
    )


def test_a_file_that_is_there_twice_is_refused(stand: Stand, sample_dump: Path) -> None:
    files = [(uuid_of(1), b"one"), (uuid_of(2), b"two"), (uuid_of(1), b"other")]
    assert refused(stand, backup(sample_dump.read_bytes(), files)) == (
        "ARCHIVE_DUPLICATE",
        file_name(uuid_of(1)),
        "expected every member once, found it again (1 names are there more than once).",
    )


def test_a_dump_that_is_there_twice_is_refused(stand: Stand, sample_dump: Path) -> None:
    code, about, _ = refused(stand, backup(sample_dump.read_bytes(), [], ("db/db.backup", b"again")))
    assert (code, about) == ("ARCHIVE_DUPLICATE", "db/db.backup")


def test_a_backup_without_a_database_is_refused(stand: Stand) -> None:
    archive = gzip.compress(tar_of([(file_name(uuid_of(1)), b"file")]))
    assert refused(stand, archive) == (
        "ARCHIVE_NO_DATABASE",
        "snapshot archive",
        "expected db/db.backup in the archive, found 1 files and no database.",
    )


def test_a_dump_that_is_not_a_dump_is_refused(stand: Stand) -> None:
    assert refused(stand, backup(b"-- PostgreSQL database dump\n")) == (
        "DUMP_UNREADABLE",
        "db/db.backup",
        "expected a whole pg_dump custom-format dump, found a file that starts with 2d 2d 20 50 6f.",
    )


def test_a_dump_of_a_future_version_is_refused(stand: Stand, sample_dump: Path) -> None:
    raw = bytearray(sample_dump.read_bytes())
    raw[6] = 99
    code, _, message = refused(stand, backup(bytes(raw)))
    assert (code, message) == ("DUMP_VERSION", "expected archive format 1.12 to 1.16, found 1.99.")


def test_a_zip_is_refused_before_it_is_copied(stand: Stand) -> None:
    code, about, message = refused(stand, b"PK\x03\x04" + bytes(100))
    assert (code, about) == ("ARCHIVE_UNKNOWN", "snapshot archive")
    assert message.endswith("found a zip archive.")
    assert list(stand.staging.list_blobs(include=["uncommittedblobs"])) == []


def test_a_missing_blob_is_refused_by_its_name(stand: Stand) -> None:
    code, about, message = stand.refusal(take_snapshot, stand.work)
    assert (code, about) == ("SOURCE_MISSING", f"{stand.source.container_name}/snapshot.tar.gz")
    assert message == "expected a snapshot in this blob, found no such blob or container."


def test_a_wrong_md5_of_the_source_is_found(stand: Stand, sample_snapshot: Path) -> None:
    from azure.storage.blob import ContentSettings

    stand.give(sample_snapshot)
    wrong = ContentSettings(content_md5=bytearray(16))
    stand.source.get_blob_client("snapshot.tar.gz").set_http_headers(wrong)
    code, _, message = stand.refusal(take_snapshot, stand.work)
    assert code == "ARCHIVE_MD5"
    assert message.startswith(f"expected MD5 {'00' * 16} as at the source, found ")


def test_a_source_that_changes_while_it_is_copied_is_refused(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    from activities.snapshot import describe_source, stage_range

    stand.give(gzip.compress(tar_of([("a", bytes(1000))])))
    described = describe_source(None, stand.work)
    stand.give(gzip.compress(tar_of([("b", bytes(1000))])))
    for service_refuses in (False, True):
        if service_refuses:
            monkeypatch.setattr(staging, "_copy_block", lambda *_, **__: False)
        answer = stage_range(None, {**stand.work, "facts": described["facts"], "first": 0, "stop": 1})
        assert answer["refused"]["code"] in ("SOURCE_CHANGED", "BLOB_CHANGED")


def test_large_objects_are_refused_before_data_flows(
    stand: Stand, postgres_server: PostgresServer, database: str
) -> None:
    with psycopg.connect(postgres_server.dsn(database), autocommit=True) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS id; SELECT lo_from_bytea(0, 'x')")
    stand.give(dumped(postgres_server, database))
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    code, about, message = stand.refusal(restore_database, work)
    assert (code, about) == ("DUMP_LARGE_OBJECTS", "db/db.backup")
    assert message.startswith("expected the tables of a Mendix app, found BLOB")
    assert not exists(postgres_server, stand)


def test_a_server_without_room_is_refused_before_the_database_is_made(
    stand: Stand, postgres_server: PostgresServer, sample_dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("POSTGRES__STORAGE_GB", "10")
    settings.cache_clear()
    stand.give(backup(sample_dump.read_bytes(), []))
    snapshot = stand.drive(take_snapshot, stand.work)
    snapshot["metadata"]["databaseSize"] = str(10 << 30)
    code, about, message = stand.refusal(restore_database, {**stand.work, "snapshot": snapshot})
    assert (code, about) == ("TEMP_ROOM", f"{postgres_server.host}:{postgres_server.port}")
    assert message.startswith(
        "expected 13,958,643,712 bytes free (the source's size of 10,737,418,240 bytes x 1.3), found "
    )
    assert not exists(postgres_server, stand)
    snapshot["metadata"]["databaseSize"] = str(5 << 30)
    assert stand.drive(restore_database, {**stand.work, "snapshot": snapshot})["findings"] == []


def test_a_server_whose_room_nobody_tells_is_restored_to_and_that_is_said(stand: Stand, sample_dump: Path) -> None:
    stand.give(backup(sample_dump.read_bytes(), []))
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    (finding,) = stand.drive(restore_database, work)["findings"]
    assert (finding["code"], finding["severity"]) == ("TEMP_ROOM", "info")
    assert "an estimate from" in finding["message"]


def test_entries_that_cannot_be_carried_over_are_refused_by_name(
    stand: Stand, postgres_server: PostgresServer, database: str
) -> None:
    with psycopg.connect(postgres_server.dsn(database), autocommit=True) as connection:
        connection.execute("CREATE TABLE parted (id int) PARTITION BY RANGE (id)")
        connection.execute("CREATE CAST (xid AS text) WITH INOUT")
        connection.execute('CREATE COLLATION plain FROM "C"')
    stand.give(dumped(postgres_server, database))
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    code, _, message = stand.refusal(restore_database, work)
    assert code == "DUMP_UNKNOWN_ENTRY"
    assert "CAST CAST (xid AS text)" in message
    assert "COLLATION public.plain" in message
    assert "TABLE public.parted (partitioned)" in message
    assert not exists(postgres_server, stand)


def test_a_dump_with_insert_statements_is_refused(stand: Stand, postgres_server: PostgresServer, database: str) -> None:
    with psycopg.connect(postgres_server.dsn(database), autocommit=True) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS id")
    stand.give(dumped(postgres_server, database, "--inserts"))
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    code, about, message = stand.refusal(restore_database, work)
    assert (code, about) == ("DUMP_NOT_COPY", "TABLE DATA public.t")
    assert message.startswith("expected a COPY statement for its rows, found ''")


def test_rows_of_a_table_that_the_dump_does_not_make_are_refused_before_data_flows(
    stand: Stand, postgres_server: PostgresServer, database: str
) -> None:
    with psycopg.connect(postgres_server.dsn(database), autocommit=True) as connection:
        connection.execute("CREATE TABLE t AS SELECT 1 AS id")
    stand.give(dumped(postgres_server, database, "--data-only"))
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    code, about, message = stand.refusal(restore_database, work)
    assert (code, about) == ("DUMP_TABLE_MISSING", "TABLE DATA public.t")
    assert "found 1 that it does not make" in message
    assert not exists(postgres_server, stand)


def test_a_collation_that_the_server_lacks_is_told_as_such(
    stand: Stand, postgres_server: PostgresServer, database: str
) -> None:
    with psycopg.connect(postgres_server.dsn(database), autocommit=True) as connection:
        connection.execute(
            'CREATE COLLATION pg_catalog."elsewhere" FROM "C"; CREATE TABLE t (name text COLLATE "elsewhere")'
        )
    stand.give(dumped(postgres_server, database))
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    with pytest.raises(StageRefused) as caught:
        stand.drive(restore_database, work)
    finding = caught.value.finding
    assert (finding.code, finding.object) == ("DUMP_ENTRY_FAILED", "TABLE public.t")
    assert "elsewhere" in finding.message
    assert "a PostgreSQL that has this collation" in finding.remedy


def test_a_blob_of_the_same_name_and_other_content_is_never_overwritten(stand: Stand, sample_dump: Path) -> None:
    stand.give(backup(sample_dump.read_bytes(), [(uuid_of(1), b"from the backup")]))
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    stand.target.upload_blob(uuid_of(1), b"somebody else's")
    code, about, message = stand.refusal(copy_files, work)
    assert (code, about) == ("FILE_EXISTS", uuid_of(1))
    assert message.endswith("found another (15 bytes, another MD5).")
    assert stand.target.download_blob(uuid_of(1)).readall() == b"somebody else's"


def test_a_source_profile_without_an_account_is_refused(stand: Stand) -> None:
    source = {"kind": "blob", "profile": "nobody", "container": "abc", "blob": "x"}
    code, about, _ = stand.refusal(take_snapshot, {"run": new_run(source).model_dump(mode="json")})
    assert (code, about) == ("UNKNOWN_SOURCE", "nobody")


def exists(server: PostgresServer, stand: Stand) -> bool:
    from shared.postgres.connection import database_name

    with psycopg.connect(server.dsn()) as connection:
        query = "SELECT FROM pg_database WHERE datname = %s"
        return connection.execute(query, (database_name(stand.run.id),)).rowcount > 0
