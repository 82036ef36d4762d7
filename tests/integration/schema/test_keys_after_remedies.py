"""Keys of tables made for one question each: what may be chosen for them, and what the chosen remedies make of them."""

from collections.abc import Callable
from typing import Any

import psycopg
import pytest

from local.postgres import PostgresServer
from shared.databaseplan import DatabasePlan, IndexColumn, PlannedColumn, PlannedIndex, PlannedTable
from shared.errors import Finding
from shared.inspection.applyremedies import apply_remedies
from shared.inspection.collation import MENDIX_DEFAULT
from shared.inspection.inspect import inspect
from shared.inspection.look import Look
from shared.mendix.metadata import EntityIdentifier, Metadata
from shared.request import Options
from shared.sqlserver.ddl import add_primary_key
from tests.integration.schema.restored import read_only

NOTHING = Metadata(entities=(), attributes=(), associations=())
Inspect = Callable[..., list[Finding]]


def keyed(column: PlannedColumn, *, primary: bool = False, mode: str = "create") -> DatabasePlan:
    """A plan of one table, `t`, with a key on its one column."""
    key = PlannedIndex(name="k", columns=[IndexColumn(name=column.name)], unique=True, constraint=not primary)
    keys: dict[str, Any] = {"primary_key": key} if primary else {"indexes": [key]}
    table = PlannedTable(name="t", source_name="t", columns=[column], **keys)
    return DatabasePlan(run="r", mode=mode, tables=[table])  # type: ignore[arg-type]


def string(size: int) -> PlannedColumn:
    return PlannedColumn(name="v", source_name="v", source_type="text", type=f"nvarchar({size})")


NUMBER = PlannedColumn(name="v", source_name="v", source_type="numeric", type="decimal(28,8)")


@pytest.fixture
def look_at(postgres_server: PostgresServer, database: str) -> Inspect:
    """Inspect a plan of table `t` with these values."""

    def inspected(plan: DatabasePlan, values: list[str], remedies: dict[str, str] | None = None) -> list[Finding]:
        with psycopg.connect(postgres_server.dsn(database)) as connection:
            kind = plan.tables[0].columns[0].source_type
            connection.execute(f"CREATE TABLE t (v {kind})".encode())
            with connection.cursor() as cursor:
                cursor.executemany("INSERT INTO t VALUES (%s)", [(value,) for value in values])
        with read_only(postgres_server, database) as connection:
            look = Look.at(connection, plan, Options(remedies=remedies or {}), MENDIX_DEFAULT)
            return inspect(look, ["t"], NOTHING)

    return inspected


LONG = ["abcdefgh 1", "abcdefgh 2"]


def test_values_that_truncating_makes_equal_are_an_open_error(look_at: Inspect) -> None:
    cut, equal = look_at(keyed(string(8)), LONG, {"TOO_LONG_UTF16": "truncate"})
    assert (cut.code, cut.chosen) == ("TOO_LONG_UTF16", "truncate")
    assert (equal.code, equal.object, equal.severity) == ("UNIQUE_COLLISION", "t.v", "error")
    assert (equal.chosen, equal.count) == (None, 2)
    assert equal.message.endswith("The remedies chosen for this table make it so.")


def test_such_values_get_the_remedy_that_was_chosen_for_them(look_at: Inspect) -> None:
    plan = keyed(string(8))
    found = look_at(plan, LONG, {"TOO_LONG_UTF16": "truncate", "UNIQUE_COLLISION": "drop-constraint"})
    assert [one.chosen for one in found] == ["truncate", "drop-constraint"]
    (key,) = apply_remedies(plan, found, NOTHING).table("t").indexes
    assert key.omitted


def test_numbers_that_rounding_makes_equal_are_an_open_error(look_at: Inspect) -> None:
    found = look_at(keyed(NUMBER), ["1.0000000001", "1.0000000002"], {"NUMERIC_SCALE": "round"})
    assert [(one.code, one.chosen) for one in found] == [("NUMERIC_SCALE", "round"), ("UNIQUE_COLLISION", None)]


def test_numbers_that_become_null_meet_in_a_unique_constraint(look_at: Inspect) -> None:
    found = look_at(keyed(NUMBER), ["NaN", "1e30"], {"NUMERIC_NOT_FINITE": "null", "NUMERIC_OVERFLOW": "null"})
    assert [(one.code, one.chosen) for one in found][2:] == [("UNIQUE_NULLS", None)]


def test_a_collation_that_truncating_undoes_is_open_again(look_at: Inspect) -> None:
    remedies = {"TOO_LONG_UTF16": "truncate", "UNIQUE_COLLISION": "collation:Latin1_General_100_CS_AS"}
    found = look_at(keyed(string(8)), LONG, remedies)
    assert [(one.code, one.chosen) for one in found] == [("TOO_LONG_UTF16", "truncate"), ("UNIQUE_COLLISION", None)]
    assert "`collation:Latin1_General_100_CS_AS` does not mend it" in found[1].message


def test_a_primary_key_offers_what_leaves_the_table_one(look_at: Inspect) -> None:
    (equal,) = look_at(keyed(string(8), primary=True), ["a", "A"])
    assert equal.code == "UNIQUE_COLLISION"
    assert "drop-constraint" not in [*equal.choices, equal.remedy]


def test_a_primary_key_column_cannot_become_unlimited(look_at: Inspect) -> None:
    (long,) = look_at(keyed(string(3), primary=True), ["abcd"])
    assert (long.code, long.choices) == ("TOO_LONG_UTF16", ["truncate"])
    assert "widen" not in long.remedy


def test_a_primary_key_over_900_bytes_may_be_nonclustered_and_then_takes_1700(look_at: Inspect) -> None:
    plan = keyed(string(900), primary=True)
    (wide,) = look_at(plan, ["x" * 451], {"INDEX_KEY_TOO_WIDE": "nonclustered"})
    assert (wide.object, wide.chosen) == ("t.k", "nonclustered")
    table = apply_remedies(plan, [wide], NOTHING).table("t")
    assert table.primary_key is not None
    assert "PRIMARY KEY NONCLUSTERED" in add_primary_key(table, table.primary_key)


def test_a_primary_key_over_1700_bytes_has_no_remedy(look_at: Inspect) -> None:
    (wide,) = look_at(keyed(string(900), primary=True), ["x" * 451, "y" * 851])
    assert (wide.choices, wide.count) == ([], 1)


@pytest.mark.parametrize("mode", ["existing", "runtime"])
def test_a_schema_of_the_runtimes_own_offers_remedies_of_values_and_says_why(look_at: Inspect, mode: str) -> None:
    (long,) = look_at(keyed(string(3), mode=mode), ["abcd"])
    assert long.choices == ["truncate"]
    assert f"in target mode `{mode}`, so that `widen` cannot be chosen" in long.remedy


def test_the_last_day_fits_a_column_without_time(look_at: Inspect) -> None:
    day = PlannedColumn(name="v", source_name="v", source_type="date", type="date")
    (late,) = look_at(keyed(day), ["9999-12-31", "10000-01-01", "infinity"])
    assert (late.code, late.count) == ("DATE_OUT_OF_RANGE", 2)


def test_ids_of_an_entity_that_is_gone_can_only_be_accepted(postgres_server: PostgresServer, database: str) -> None:
    from shared.inspection.identities import identity_findings
    from shared.mendix.metadata import Entity

    table = PlannedTable(
        name="t", source_name="t", columns=[PlannedColumn(name="id", source_name="id", source_type="bigint", type="bigint")]
    )  # fmt: skip
    metadata = Metadata(
        entities=(Entity("root", "A.Root", "t"),), attributes=(), associations=(),
        identifiers=(EntityIdentifier("root", 3, 101), EntityIdentifier("gone", 4, 1)),
    )  # fmt: skip
    with psycopg.connect(postgres_server.dsn(database)) as connection:
        connection.execute("CREATE TABLE t (id bigint)")
        connection.execute("INSERT INTO t VALUES ((4::bigint << 48) | (7 << 7))")
    with read_only(postgres_server, database) as connection:
        look = Look.at(connection, DatabasePlan(run="r", tables=[table]), Options(), MENDIX_DEFAULT)
        (behind,) = identity_findings(look, table, metadata)
    assert (behind.code, behind.object) == ("OBJECT_SEQUENCE_BEHIND", "mendixsystem$entityidentifier.gone")
    assert behind.choices == ["accept"]
