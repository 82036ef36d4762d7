"""`make demo`, as a user runs it: by the command, judged by its exit code, its output and the files that it leaves."""

import os
import secrets
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.processes import ROOT
from local.stack import Stack
from shared.reporting.model import Report
from tests.fixtures.sqlserver import SqlServer

pytestmark = pytest.mark.slow


@pytest.fixture
def folder() -> Iterator[Path]:
    chosen = Stack.folder_of(f"test-{secrets.token_hex(4)}")
    yield chosen
    shutil.rmtree(chosen, ignore_errors=True)


def demo(folder: Path, *options: str, sql: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "local.demo", "--name", folder.name, *options]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=ROOT, env={**os.environ, "SQL": sql}, timeout=280, check=False
    )


def processes_of(folder: Path) -> list[str]:
    """Command lines of processes that write their log into that folder."""
    found = []
    for process in Path("/proc").iterdir():
        try:
            log = process.joinpath("fd", "2").readlink() if process.name.isdigit() else Path("/")
            if log.is_relative_to(folder):
                found.append(process.joinpath("cmdline").read_text().replace("\0", " "))
        except OSError:
            continue
    return found


def test_the_demo_moves_a_sample_and_verifies_it_and_then_refuses_one_with_problems(folder: Path) -> None:
    done = demo(folder, "--rows", "3000", "--files", "60")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.rstrip().splitlines()[-2] == "Verified."
    report = Report.model_validate_json((folder / "report.json").read_bytes())
    assert report.verdict == "verified"
    copied = [table for table in report.tables if table.content == "copy"]
    assert len(copied) > 40
    assert all(table.rows_source == table.rows_copied == table.rows_target for table in copied)
    assert (report.files.expected, report.files.copied) == (60, 60)
    assert {check.outcome for check in report.checks} <= {"passed", "skipped"}
    assert {check.name: check.outcome for check in report.smoke} == {
        "smoke: home page": "passed", "smoke: a document": "passed",
    }  # fmt: skip
    assert "signed in" in report.smoke[-1].how
    assert all(check.how for check in report.checks)
    assert "<html" in (folder / "report.html").read_text()
    assert processes_of(folder) == []

    again = demo(folder, "--rows", "3000", "--files", "60", "--with-problems")
    assert again.returncode == 1, again.stdout + again.stderr
    assert "Refused." in again.stdout
    for code in ("UNIQUE_COLLISION", "UNIQUE_NULLS", "TOO_LONG_UTF16", "DATE_OUT_OF_RANGE", "DANGLING_REFERENCE"):
        assert f"error {code} " in again.stdout
    assert processes_of(folder) == []


def test_the_demo_takes_a_backup_and_a_sql_server_of_the_users_own(
    folder: Path, sample_snapshot: Path, sql_server_tls: SqlServer
) -> None:
    database = sql_server_tls.new_database()
    sql = (
        f"Server={sql_server_tls.host},{sql_server_tls.port};Database={database};UID={sql_server_tls.user};"
        f"PWD={{{sql_server_tls.password}}};TrustServerCertificate=yes"
    )
    done = demo(folder, "--snapshot", str(sample_snapshot), "--source", "blob", sql=sql)
    assert done.returncode == 0, done.stdout + done.stderr
    with sql_server_tls.connect(database, encrypt="yes") as connection:
        assert connection.execute("SELECT COUNT_BIG(*) FROM [dbo].[orders$order]").fetchval() > 40

    again = demo(folder, "--snapshot", str(sample_snapshot), "--source", "blob", sql=sql)
    assert again.returncode == 1, again.stdout + again.stderr
    assert "error TARGET_NOT_EMPTY" in again.stdout
    assert sql_server_tls.password not in done.stdout + done.stderr + again.stdout + again.stderr


@pytest.mark.parametrize(
    ("options", "sql", "sentence"),
    [
        (("--rows", "100"), "", "need at least about"),
        (("--snapshot", "/no/such/file"), "", "SNAPSHOT=/no/such/file is not a file."),
        ((), "Server=s", "expected Server and Database, found no database"),
    ],
)
def test_a_demo_that_cannot_be_done_says_why_in_a_sentence(
    folder: Path, options: tuple[str, ...], sql: str, sentence: str
) -> None:
    done = demo(folder, *options, sql=sql)
    assert done.returncode == 2
    assert sentence in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert processes_of(folder) == []
