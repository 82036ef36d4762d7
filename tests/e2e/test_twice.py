"""Every activity of a whole migration delivered twice at the same time, the slower one behind the run's back."""

from collections.abc import Iterator

import pytest

from local.appsettings import FILES
from shared.reporting.model import Report
from tests.e2e.stand import Stand, stand


@pytest.fixture(scope="module")
def twice() -> Iterator[Stand]:
    with stand("--deliver-twice") as made:
        yield made


@pytest.fixture(scope="module")
def report(twice: Stand) -> Report:
    """The report of a migration on to a target that is not empty and may be dropped."""
    with twice.target() as connection:
        connection.execute("CREATE TABLE [dbo].[orders$order] ([old] int NOT NULL)")
        connection.execute("INSERT INTO [dbo].[orders$order] ([old]) VALUES (1)")
    twice.container(FILES).upload_blob("old", b"of another app")
    return twice.migrate(source=twice.from_cloud, drop=True)


def test_a_migration_whose_every_activity_comes_twice_at_once_ends_verified(twice: Stand, report: Report) -> None:
    assert report.verdict == "verified", report.reason
    assert twice.differences() == []
    assert all(one.rows_source == one.rows_copied == one.rows_target for one in report.tables if one.content == "copy")
    assert report.files.copied == report.files.expected == 120


def test_it_leaves_nothing_behind_and_never_stops_the_source(twice: Stand, report: Report) -> None:
    assert twice.staged(report.id) == []
    assert twice.temporary_databases() == []
    # Two deliveries at the very same time each ask for a snapshot and an archive: one of each is then one too many.
    assert set(twice.source_calls()) == {"snapshots", "archives"}
    assert len(twice.source_calls()) <= 4
