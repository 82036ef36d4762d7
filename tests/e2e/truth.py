"""What the target holds, read without the app's own code, and whether a report says the same."""

import hashlib
from typing import Any

from local.appsettings import FILES
from shared.reporting.model import Report
from tests.e2e import comparison
from tests.e2e.stand import Stand

DEFINITIONS = {
    "columns": "SELECT t.name, c.name, y.name, c.max_length, c.precision, c.scale, c.is_nullable, c.collation_name "
    "FROM sys.tables AS t JOIN sys.columns AS c ON c.object_id = t.object_id "
    "JOIN sys.types AS y ON y.user_type_id = c.user_type_id ORDER BY t.name, c.column_id",
    "foreign keys": "SELECT t.name, f.name FROM sys.foreign_keys AS f "
    "JOIN sys.tables AS t ON t.object_id = f.parent_object_id ORDER BY t.name, f.name",
    "procedures": "SELECT p.name, m.definition FROM sys.procedures AS p "
    "JOIN sys.sql_modules AS m ON m.object_id = p.object_id ORDER BY p.name",
    "options": "SELECT collation_name, compatibility_level, is_read_committed_snapshot_on, snapshot_isolation_state "
    "FROM sys.databases WHERE name = DB_NAME()",
}


def held(stand: Stand) -> tuple[int, int, int]:
    """Tables, rows and files of the target, counted one by one."""
    with stand.target() as connection:
        names = [name for (name,) in connection.execute("SELECT name FROM sys.tables").fetchall()]
        rows = sum(connection.execute(f"SELECT COUNT_BIG(*) FROM [dbo].[{name}]").fetchval() for name in names)
    return len(names), rows, sum(1 for _ in stand.container(FILES).list_blob_names())


def whole(stand: Stand) -> dict[str, Any]:
    """Everything that makes the target what it is: rows, definitions, keys, the database's options, the files' bytes."""
    with stand.target() as connection:
        found: dict[str, Any] = {
            name: [tuple(row) for row in connection.execute(statement).fetchall()]
            for name, statement in DEFINITIONS.items()
        }
        found["keys"] = comparison.target_keys(connection)
        tables = [name for (name,) in connection.execute("SELECT name FROM sys.tables ORDER BY name").fetchall()]
        for name in tables:
            rows = connection.execute(f"SELECT * FROM [dbo].[{name}]").fetchall()
            found[f"rows of {name}"] = sorted((tuple(row) for row in rows), key=repr)
    container = stand.container(FILES)
    found["files"] = {
        one.name: hashlib.sha256(container.download_blob(one.name).readall()).hexdigest()
        for one in container.list_blobs()
    }
    return found


def tells_the_truth(stand: Stand, report: Report, before: tuple[int, int, int]) -> None:
    """Assert that report and target agree, and that nothing else is left."""
    found = held(stand)
    if report.target_written_at is None:
        assert report.stock is None
        assert found == before
    else:
        assert report.stock is not None
        assert (report.stock.tables, report.stock.rows, report.stock.files) == found
    left_nothing(stand, report)


def left_nothing(stand: Stand, report: Report) -> None:
    """Assert that staging and the temporary server hold nothing of the run, and that the report claims no less."""
    assert stand.staged(report.id) == []
    assert stand.temporary_databases() == []
    assert [finding.code for finding in report.findings if finding.code == "NOT_CLEANED_UP"] == []
