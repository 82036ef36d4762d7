"""Snapshot, restore, files and reconcile on a sample backup, against Azurite and PostgreSQL."""

import hashlib
import json
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import psycopg
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import ContentSettings
from azure.storage.blob.aio import BlobClient

from activities import files, restore, snapshot
from activities.reconcile import reconcile_files
from local.postgres import PostgresServer
from orchestrators import calling
from orchestrators.files import copy_files, verify_files
from orchestrators.restore import restore_database
from orchestrators.snapshot import ignored_names, take_snapshot
from shared.blobs.cleanup import delete_staging
from shared.installation import installation
from shared.postgres import ownership
from shared.postgres.temporary import drop
from shared.settings import settings
from shared.snapshot import fileslisting
from shared.snapshot.digest import PIECE
from shared.snapshot.filecopy import SMALL
from tests.integration.snapshot.archives import backup, uuid_of
from tests.integration.snapshot.conftest import Stand


def taken(stand: Stand, archive: Path | bytes) -> dict[str, Any]:
    stand.give(archive)
    snapshot_ref = stand.drive(take_snapshot, stand.work)
    return {**stand.work, "snapshot": snapshot_ref}


def files_of(path: Path) -> dict[str, bytes]:
    found = {}
    with tarfile.open(path) as archive:
        for member in archive:
            data = archive.extractfile(member)
            if data and member.name.startswith("tree/"):
                found[member.name.rsplit("/", 1)[1]] = data.read()
    return found


def blobs_of(stand: Stand, prefix: str = "") -> dict[str, bytes]:
    return {
        blob.name.removeprefix(prefix): bytes(stand.target.download_blob(blob.name).readall())
        for blob in stand.target.list_blobs(name_starts_with=prefix or None)
    }


def row_counts(connection: psycopg.Connection[Any]) -> dict[str, int]:
    """Rows loaded into each table, as COPY counted them."""
    return dict(
        connection.execute("SELECT table_name, rows FROM mxferry.loaded WHERE schema_name = 'public'").fetchall()
    )


def outcomes(verified: dict[str, Any]) -> list[str]:
    return [check["outcome"] for check in verified["checks"]]


def test_a_sample_backup_arrives_row_by_row_and_byte_by_byte(
    stand: Stand, sample_snapshot: Path, postgres_server: PostgresServer
) -> None:
    work = taken(stand, sample_snapshot)
    ref = work["snapshot"]
    expected = files_of(sample_snapshot)
    assert (ref["kind"], ref["files"], ref["file_bytes"]) == ("full", len(expected), sum(map(len, expected.values())))
    assert ref["archive_bytes"] == sample_snapshot.stat().st_size
    assert ref["metadata"]["modelVersion"]

    restored = stand.drive(restore_database, work)
    with psycopg.connect(postgres_server.dsn(restored["database"])) as connection:
        counts = row_counts(connection)
        assert sum(counts.values()) == restored["rows"] == 3_000
        for table, rows in counts.items():
            assert connection.execute(f'SELECT count(*) FROM public."{table}"').fetchone() == (rows,)
    assert restored["model_version"] == ref["metadata"]["modelVersion"]

    copied = stand.drive(copy_files, work)
    assert (copied["files"], copied["bytes"]) == (len(expected), ref["file_bytes"])
    assert blobs_of(stand) == expected
    verified = stand.drive(verify_files, work)
    assert (outcomes(verified), verified["findings"]) == (["passed", "passed", "passed"], [])

    answer = reconcile_files(None, {**work, "restore": restored})
    assert (answer["missing_blobs"], answer["orphan_blobs"], answer["size_differences"]) == (0, 0, 0)
    assert answer["blobs"] == len(expected)
    assert answer["expected_missing"] > 0


def test_copying_the_files_again_writes_nothing(stand: Stand, sample_snapshot: Path) -> None:
    work = taken(stand, sample_snapshot)
    stand.drive(copy_files, work)
    before = {blob.name: blob.etag for blob in stand.target.list_blobs()}
    again = stand.drive(copy_files, work)
    assert again["existed"] == again["files"] == len(before)
    assert {blob.name: blob.etag for blob in stand.target.list_blobs()} == before


def test_every_activity_delivered_twice_at_once_gives_the_same_result(
    stand: Stand, sample_snapshot: Path, postgres_server: PostgresServer
) -> None:
    def twice(activity: Any, payload: dict[str, Any]) -> dict[str, Any]:
        with ThreadPoolExecutor(2) as pool:
            answers = list(pool.map(lambda _: activity(None, payload), range(2)))
        assert not any("refused" in answer for answer in answers), answers
        return answers[0]

    stand.give(sample_snapshot)
    described = twice(snapshot.describe_source, stand.work)
    facts = described["facts"]
    for first, stop in described["ranges"]:
        twice(snapshot.stage_range, {**stand.work, "facts": facts, "first": first, "stop": stop})
    archive = {**stand.work, "facts": facts, "size": facts["size"]}
    twice(snapshot.commit_staged, archive)
    while not twice(snapshot.inflate_archive, archive)["finished"]:
        pass
    work = {**stand.work, "snapshot": twice(snapshot.seal_snapshot, archive)}
    twice(restore.read_contents, work)
    batches = twice(restore.prepare_database, work)["batches"]
    for batch in range(batches):
        twice(restore.load_tables, {**work, "batch": batch})
    restored = twice(restore.finish_restore, work)
    assert restored["rows"] == 3_000
    with psycopg.connect(postgres_server.dsn(restored["database"])) as connection:
        for table, rows in row_counts(connection).items():
            assert connection.execute(f'SELECT count(*) FROM public."{table}"').fetchone() == (rows,)
    for batch in range(twice(files.plan_files, work)["batches"]):
        twice(files.copy_batch, {**work, "batch": batch})
    assert blobs_of(stand) == files_of(sample_snapshot)
    assert twice(files.verify_listing, work)["finished"]


def test_large_files_are_copied_by_the_service_and_small_ones_are_read_in_runs(stand: Stand, sample_dump: Path) -> None:
    sizes = [0, 1, 100, SMALL, SMALL + 1, 9_000_000]
    wanted = {
        uuid_of(number): hashlib.sha256(str(number).encode()).digest() * (size // 32 + 1)
        for number, size in enumerate(sizes)
    }
    wanted = {name: data[:size] for (name, data), size in zip(wanted.items(), sizes, strict=True)}
    work = taken(stand, backup(sample_dump.read_bytes(), wanted.items()))
    copied = stand.drive(copy_files, work)
    assert (copied["files"], copied["server_side"], copied["streamed"]) == (6, 2, 4)
    assert blobs_of(stand) == wanted
    verified = stand.drive(verify_files, work)
    assert "6 equal, 0 different, 0 not known" in verified["checks"][2]["detail"]


def large(stand: Stand, sample_dump: Path) -> tuple[dict[str, Any], str, bytes]:
    """A snapshot with one file of two pieces; its name and contents."""
    name, data = uuid_of(1), random.Random(5).randbytes(PIECE + 1_000_000)
    return taken(stand, backup(sample_dump.read_bytes(), [(name, data)])), name, data


def test_a_large_file_that_is_there_is_compared_and_no_block_of_it_copied_again(
    stand: Stand, sample_dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work, name, data = large(stand, sample_dump)
    stand.drive(copy_files, work)

    async def never(*_: Any, **__: Any) -> None:
        raise AssertionError("a block was copied")

    monkeypatch.setattr(BlobClient, "stage_block_from_url", never)
    monkeypatch.setattr(BlobClient, "stage_block", never)
    again = stand.drive(copy_files, work)
    assert (again["existed"], again["files"], blobs_of(stand)) == (1, 1, {name: data})
    stand.target.upload_blob(name, b"somebody else's", overwrite=True)
    assert stand.refusal(copy_files, work)[:2] == ("FILE_EXISTS", name)


def refuse_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(*_: Any, **__: Any) -> None:
        raise HttpResponseError(response=cast("Any", SimpleNamespace(status_code=403, reason="", headers={})))

    monkeypatch.setattr(BlobClient, "stage_block_from_url", refuse)


@pytest.mark.parametrize("by_service", [True, False])
def test_every_piece_of_a_large_file_is_compared_with_its_md5_as_it_is_copied(
    stand: Stand, sample_dump: Path, monkeypatch: pytest.MonkeyPatch, by_service: bool
) -> None:
    work, name, data = large(stand, sample_dump)
    if not by_service:
        refuse_copies(monkeypatch)
    tar = stand.staging.get_blob_client(work["snapshot"]["tar_blob"])
    whole = bytearray(tar.download_blob().readall())
    whole[-50_000] ^= 1  # within the file's last piece, after it was indexed
    tar.upload_blob(bytes(whole), overwrite=True)
    code, about, _ = stand.refusal(copy_files, work)
    assert (code, about) == ("STAGING_DAMAGED", name)
    assert blobs_of(stand) == {}
    whole[-50_000] ^= 1
    tar.upload_blob(bytes(whole), overwrite=True)
    stand.drive(copy_files, work)
    assert blobs_of(stand) == {name: data}
    assert "1 equal, 0 different, 0 not known" in stand.drive(verify_files, work)["checks"][2]["detail"]


@pytest.mark.parametrize("by_service", [True, False])
def test_the_pieces_of_a_large_file_that_a_dead_delivery_brought_are_not_copied_again(
    stand: Stand, sample_dump: Path, monkeypatch: pytest.MonkeyPatch, by_service: bool
) -> None:
    work, name, data = large(stand, sample_dump)
    if not by_service:
        refuse_copies(monkeypatch)
    commit = BlobClient.commit_block_list

    async def die(*_: Any, **__: Any) -> None:
        raise SystemExit("killed here")

    monkeypatch.setattr(BlobClient, "commit_block_list", die)
    files.plan_files(None, work)
    with pytest.raises(SystemExit):
        files.copy_batch(None, {**work, "batch": 0})
    monkeypatch.setattr(BlobClient, "commit_block_list", commit)
    monkeypatch.setattr(BlobClient, "stage_block_from_url" if by_service else "stage_block", die)
    files.copy_batch(None, {**work, "batch": 0})
    assert blobs_of(stand) == {name: data}


def test_a_prefix_is_put_before_every_name(stand: Stand, sample_dump: Path) -> None:
    stand.run.request.options.blob_prefix = "app/"
    wanted = {uuid_of(number): b"x" * number for number in range(5)}
    stand.target.upload_blob("other/blob", b"left alone")
    work = taken(stand, backup(sample_dump.read_bytes(), wanted.items()))
    stand.drive(copy_files, work)
    assert blobs_of(stand, "app/") == wanted
    assert outcomes(stand.drive(verify_files, work)) == ["passed", "passed", "passed"]


def test_verification_names_what_is_missing_too_many_and_different(stand: Stand, sample_dump: Path) -> None:
    wanted = {uuid_of(number): b"x" * (number + 1) for number in range(6)}
    work = taken(stand, backup(sample_dump.read_bytes(), wanted.items()))
    stand.drive(copy_files, work)
    names = sorted(wanted)
    stand.target.delete_blob(names[0])
    stand.target.upload_blob(names[1], b"other size", overwrite=True)
    stand.target.upload_blob(names[2], b"y" * len(wanted[names[2]]), overwrite=True)
    stand.target.upload_blob("0-stranger", b"")
    stand.target.upload_blob("zz-stranger", b"")
    verified = stand.drive(verify_files, work)
    assert outcomes(verified) == ["passed", "failed", "failed"]
    assert verified["findings"][0]["code"] == "FILES_DIFFER"
    assert set(verified["findings"][0]["examples"]) == {
        "0-stranger is in the container, but not in the snapshot.",
        f"{names[0]} is in the snapshot, but not in the container.",
        f"{names[1]} has 10 bytes, expected {len(wanted[names[1]])}.",
        f"{names[2]} has another MD5 than in the snapshot.",
        "zz-stranger is in the container, but not in the snapshot.",
    }


def test_a_container_that_is_never_listed_to_its_end_is_refused_with_what_was_compared(
    stand: Stand, sample_dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    work = taken(stand, backup(sample_dump.read_bytes(), [(uuid_of(number), b"x") for number in range(9)]))
    stand.drive(copy_files, work)
    monkeypatch.setattr(fileslisting, "BLOBS_PER_PAGE", 3)
    monkeypatch.setattr(files, "BUDGET_SECONDS", -1)
    monkeypatch.setattr(calling, "MOST_STEPS", 2)
    code, _, message = stand.refusal(verify_files, work)
    assert code == "FILES_UNFINISHED"
    assert "found 6 blobs compared and no end" in message


def test_a_listing_of_many_pages_goes_on_where_the_last_activity_ended(
    stand: Stand, sample_dump: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = {uuid_of(number): b"x" * (number + 1) for number in range(40)}
    work = taken(stand, backup(sample_dump.read_bytes(), wanted.items()))
    stand.drive(copy_files, work)
    monkeypatch.setattr(fileslisting, "BLOBS_PER_PAGE", 3)
    monkeypatch.setattr(files, "BUDGET_SECONDS", -1)
    before = len(stand.statuses)
    assert outcomes(stand.drive(verify_files, work)) == ["passed", "passed", "passed"]
    assert len(stand.statuses) - before == 1 + 14  # the first, and pages of three of forty blobs, an activity each
    names = sorted(wanted)
    gone, strange = [*names[1:9], *names[20:22], names[39]], ["0", f"{names[15]}-", "z1", "z2", "z3", "z4"]
    for name in gone:
        stand.target.delete_blob(name)
    for name in strange:
        stand.target.upload_blob(name, b"")
    [found] = stand.drive(verify_files, work)["findings"]
    assert found["count"] == len(gone) + len(strange)
    check = stand.drive(verify_files, work)["checks"][1]
    assert (
        check["detail"]
        == f"40 files, {40 - len(gone) + 6} blobs: {len(gone)} missing, 6 unexpected, 0 of another size."
    )


@pytest.mark.parametrize("gone", range(2, 12))
def test_more_missing_files_in_a_row_than_a_page_holds_are_counted_as_what_they_are(
    stand: Stand, sample_dump: Path, monkeypatch: pytest.MonkeyPatch, gone: int
) -> None:
    wanted = {uuid_of(number): b"x" for number in range(16)}
    work = taken(stand, backup(sample_dump.read_bytes(), wanted.items()))
    stand.drive(copy_files, work)
    monkeypatch.setattr(fileslisting, "BLOBS_PER_PAGE", 3)
    for name in sorted(wanted)[1 : 1 + gone]:
        stand.target.delete_blob(name)
    check = stand.drive(verify_files, work)["checks"][1]
    assert check["detail"] == f"16 files, {16 - gone} blobs: {gone} missing, 0 unexpected, 0 of another size."


def test_files_whose_md5_nobody_knows_have_not_passed_that_check(stand: Stand, sample_dump: Path) -> None:
    wanted = {uuid_of(number): b"x" for number in range(3)}
    work = taken(stand, backup(sample_dump.read_bytes(), wanted.items()))
    stand.drive(copy_files, work)
    stand.target.get_blob_client(uuid_of(1)).set_http_headers(ContentSettings(content_md5=None))
    check = stand.drive(verify_files, work)["checks"][2]
    assert check["outcome"] == "skipped"
    assert check["detail"] == "2 equal, 0 different, 1 not known, and compared by size only."


def test_a_database_only_backup_is_restored_without_files(stand: Stand, sample_dump: Path) -> None:
    work = taken(stand, sample_dump)
    assert (work["snapshot"]["kind"], work["snapshot"]["tar_blob"]) == ("database", None)
    assert stand.drive(restore_database, work)["rows"] == 3_000
    assert stand.drive(copy_files, work)["files"] == 0
    assert outcomes(stand.drive(verify_files, work)) == ["passed", "skipped"]


@pytest.mark.parametrize("told", [True, False])
def test_the_report_says_how_the_archive_was_compared_with_its_source(
    stand: Stand, sample_snapshot: Path, told: bool
) -> None:
    stand.give(sample_snapshot)
    if not told:
        stand.source.get_blob_client("snapshot.tar.gz").set_http_headers(ContentSettings(content_md5=None))
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    check = stand.drive(verify_files, work)["checks"][0]
    md5 = hashlib.md5(sample_snapshot.read_bytes()).hexdigest() if told else "not told by the source"
    assert check["detail"] == f"{sample_snapshot.stat().st_size:,} bytes, MD5 {md5}."
    assert ("in staging is the one that the source tells" in check["how"]) is told
    assert "gzip's CRC-32 and length were compared with every inflated byte" in check["how"]


def test_an_uncompressed_tar_and_a_zipped_dump_are_backups_too(
    stand: Stand, sample_snapshot: Path, sample_dump: Path
) -> None:
    import gzip

    work = taken(stand, gzip.decompress(sample_snapshot.read_bytes()))
    assert work["snapshot"]["tar_blob"] == work["snapshot"]["archive_blob"]
    stand.drive(copy_files, work)
    assert blobs_of(stand) == files_of(sample_snapshot)
    delete_staging(stand.run.id)
    work = taken(stand, gzip.compress(sample_dump.read_bytes(), 1))
    assert work["snapshot"]["kind"] == "database"
    assert stand.drive(restore_database, work)["rows"] == 3_000


def test_names_that_no_backup_holds_are_listed_and_not_copied(stand: Stand, sample_dump: Path) -> None:
    wanted = {uuid_of(1): b"one"}
    work = taken(
        stand, backup(sample_dump.read_bytes(), wanted.items(), ("read\x1b[2Jme.txt", b"hello"), ("tree/x", b""))
    )
    [found] = ignored_names(work["snapshot"])
    assert (found.code, found.count, found.examples) == ("ARCHIVE_NAMES_IGNORED", 2, ["read\\x1b[2Jme.txt", "tree/x"])
    listed = stand.reports.download_blob(work["snapshot"]["ignored_blob"]).readall().decode().splitlines()
    assert [json.loads(line) for line in listed] == [
        {"name": "read\\x1b[2Jme.txt", "size": 5},
        {"name": "tree/x", "size": 0},
    ]
    stand.drive(copy_files, work)
    assert blobs_of(stand) == wanted


def test_clean_up_leaves_nothing_and_may_be_repeated(
    stand: Stand, sample_snapshot: Path, postgres_server: PostgresServer
) -> None:
    work = taken(stand, sample_snapshot)
    restored = stand.drive(restore_database, work)
    stand.staging.get_blob_client(f"runs/{stand.run.id}/uncommitted").stage_block(
        "00000000", b"left by a dead activity"
    )
    assert delete_staging(stand.run.id)[0].startswith("Deleted ")
    assert list(stand.staging.list_blobs(include=["uncommittedblobs"])) == []
    assert delete_staging(stand.run.id) == []
    ours = installation()
    with psycopg.connect(postgres_server.dsn()) as connection:
        assert ownership.owners(connection)[restored["database"]] == ours
    assert drop(settings().postgres, restored["database"], ours) == [
        f"Dropped the temporary database {restored['database']}."
    ]
    assert drop(settings().postgres, restored["database"], ours) == []
    with psycopg.connect(postgres_server.dsn()) as connection:
        found = connection.execute("SELECT FROM pg_database WHERE datname = %s", (restored["database"],)).rowcount
    assert found == 0


def test_what_crosses_the_durable_boundary_is_small_and_holds_no_secret(
    stand: Stand, sample_snapshot: Path, azurite: str
) -> None:
    key = azurite.split("AccountKey=")[1].split(";")[0]
    work = taken(stand, sample_snapshot)
    work["restore"] = stand.drive(restore_database, work)
    stand.drive(copy_files, work)
    said = json.dumps([work, stand.statuses])
    assert len(json.dumps(work)) < 10_000
    for secret in (key, settings().postgres.password.get_secret_value(), "sig="):  # type: ignore[union-attr]
        assert secret not in said


@pytest.mark.parametrize("stage", ["snapshot", "restore"])
def test_progress_is_told_as_it_goes(stand: Stand, sample_snapshot: Path, stage: str) -> None:
    work = taken(stand, sample_snapshot)
    stand.drive(restore_database, work)
    told = [status for status in stand.statuses if status["stage"] == stage]
    assert told[-1]["note"] == "done"
    assert told[-1]["done"]["bytes"] == told[-1]["total"]["bytes"] > 0
