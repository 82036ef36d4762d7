"""The data preflight on a real PostgreSQL: each finding where the problem is, none where it is not, remedies that mend."""

import functools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from local.postgres import PostgresServer
from local.processes import ROOT
from shared.copying.reading import select_sql, where_sql
from shared.databaseplan import DatabasePlan, PlannedTable
from shared.errors import Finding
from shared.inspection.applyremedies import apply_remedies, keys_left_out
from shared.inspection.collation import MENDIX_DEFAULT, Collation
from shared.inspection.inspect import groups, inspect
from shared.inspection.look import Look
from shared.mendix.metadata import read_metadata
from shared.mendix.planning import plan_database
from shared.request import Options
from shared.sqlserver.types import string_length
from tests.integration.schema.restored import read_only, restore, scratch

RUN = "20261122t211500-abcdef"

PRESENT = {
    ("UNIQUE_COLLISION", "tickets$tag.name"),
    ("UNIQUE_COLLISION", "orders$product.sku"),
    ("UNIQUE_COLLISION", "orders$category.name"),
    ("UNIQUE_COLLISION", "legacy$lookup.uniq_legacy$lookup_batch_line"),
    ("UNIQUE_COLLISION", "legacy$lookup.tag"),
    ("UNIQUE_COLLISION", "legacy$lookup.seen"),
    ("UNIQUE_NULLS", "customers$party.customernumber"),
    ("UNLIMITED_UNIQUE", "legacy$import.key"),
    ("INDEX_KEY_TOO_WIDE", "legacy$import.idx_legacy$import_path_asc"),
    ("INDEX_KEY_TOO_WIDE", "legacy$lookup.pk_legacy$lookup"),
    ("TOO_LONG_UTF16", "customers$party.displayname"),
    ("DATE_OUT_OF_RANGE", "legacy$import.importedat"),
    ("NUMERIC_NOT_FINITE", "legacy$import.amount"),
    ("NUMERIC_NOT_FINITE", "legacy$import.ratio"),
    ("NUMERIC_NOT_FINITE", "orders$product.price"),
    ("NUMERIC_OVERFLOW", "legacy$import.amount"),
    ("NUMERIC_SCALE", "legacy$import.amount"),
    ("DANGLING_REFERENCE", "orders$order.orders$order_customer"),
    ("UNKNOWN_SHORT_ID", "orders$payment.id"),
}

PLANNED = {
    ("SEQUENCE_BEHIND", "tickets$ticket.number"),
    ("SEQUENCE_MISSING", "system$filedocument.fileid"),
    ("AUTONUMBER_WITHOUT_SEQUENCE", "system$processedqueuetask.sequence"),
    ("SEQUENCE_UNCLAIMED", "native sequences"),
    ("UNKNOWN_TYPE", "legacy$lookup.took"),
    ("CASCADE_PATHS", "legacy$lookup.parent"),
    ("NO_PRIMARY_KEY", "legacy$log"),
    ("INDEX_UNLIMITED", "legacy$log.idx_legacy$log_line"),
    ("MISSING_TABLE", "legacy$archive"),
    ("MISSING_COLUMN", "legacy$import.comment"),
    ("NOT_A_TABLE", "legacy$overview"),
    ("LEFTOVER_TABLE", "e08d6ec7514e484c8697092625d148cb"),
}
STALE = {
    "orders$order.ordernumber",
    "tickets$ticket.number",
    "system$filedocument.fileid",
    "system$queuedtask.sequence",
}


@pytest.fixture(scope="module")
def sound(postgres_server: PostgresServer, sample_dump: Path) -> Iterator[str]:
    with scratch(postgres_server, "sound") as name:
        restore(postgres_server, name, sample_dump)
        yield name


@pytest.fixture(scope="module")
def faulty(postgres_server: PostgresServer, sample_with_problems: Path) -> Iterator[str]:
    from tests.fixtures.sample import dump_of

    with scratch(postgres_server, "faulty") as name:
        restore(postgres_server, name, dump_of(sample_with_problems))
        yield name


class Inspected:
    """A database, inspected: the plan as made, what was found, the plan with the remedies."""

    def __init__(self, server: PostgresServer, database: str, **options: Any) -> None:
        chosen = Options.model_validate(options)
        self.server, self.database = server, database
        planning = plan_database(functools.partial(read_only, server, database), RUN, chosen)
        self.plan, self.planned = planning.plan, planning.findings
        with read_only(server, database) as connection:
            metadata = read_metadata(connection)
            look = Look.at(connection, self.plan, chosen, chosen.collation or MENDIX_DEFAULT)
            self.findings = [one for group in groups(self.plan) for one in inspect(look, group, metadata)]
        self.settled = apply_remedies(self.plan, self.findings, metadata)

    def names(self) -> set[tuple[str, str]]:
        return {(finding.code, finding.object) for finding in self.findings}

    def the(self, code: str, about: str | None = None) -> Finding:
        return next(one for one in self.findings if one.code == code and about in (None, one.object))

    def rows(self, plan: DatabasePlan, table: str, column: str) -> dict[int, Any]:
        planned = plan.table(table)
        with psycopg.connect(self.server.dsn(self.database)) as connection:
            statement = f'SELECT id, "{column}"::text FROM ({select_sql(planned, where_sql(planned.where))}) AS s'
            return dict(connection.execute(statement.encode()).fetchall())

    def again(self) -> set[tuple[str, str]]:
        """Inspect the settled plan: what a remedy mends is no longer found."""
        with read_only(self.server, self.database) as connection:
            look = Look.at(connection, self.settled, Options(), MENDIX_DEFAULT)
            metadata = read_metadata(connection)
            found = [one for group in groups(self.settled) for one in inspect(look, group, metadata)]
        return {(finding.code, finding.object) for finding in found}


def test_a_sound_database_has_no_findings(postgres_server: PostgresServer, sound: str) -> None:
    inspected = Inspected(postgres_server, sound)
    assert inspected.findings == []
    assert {one.code for one in inspected.planned} == {"AUTONUMBER_STALE"}


def test_every_problem_is_found_where_it_is_and_nowhere_else(postgres_server: PostgresServer, faulty: str) -> None:
    inspected = Inspected(postgres_server, faulty)
    found = inspected.names()
    behind = {(code, about) for code, about in found if code == "OBJECT_SEQUENCE_BEHIND"}
    assert len(behind) == 1
    assert found - behind == PRESENT
    assert {one.severity for one in inspected.findings} == {"error"}
    planned = {(one.code, one.object) for one in inspected.planned}
    assert {(code, about) for code, about in planned if code != "AUTONUMBER_STALE"} == PLANNED
    assert {about for code, about in planned if code == "AUTONUMBER_STALE"} == STALE
    for finding in inspected.findings:
        assert finding.remedy, finding.code
        assert finding.choices, finding.code
        assert finding.chosen is None
        assert len(finding.examples) <= 10


def test_case_trailing_blanks_and_kana_collide_each_by_itself(postgres_server: PostgresServer, faulty: str) -> None:
    shown = Inspected(postgres_server, faulty, show_values=True).the("UNIQUE_COLLISION", "tickets$tag.name")
    groups_seen = {frozenset(example.partition(": ")[2].split(" = ")) for example in shown.examples}
    assert shown.count == 6
    assert groups_seen == {
        frozenset({"'TAG-001'", "'tag-001'"}),
        frozenset({"'tag-003  '", "'tag-003'"}),
        frozenset({"'タグ'", "'たぐ'"}),
    }


def test_examples_show_no_values_unless_asked_for(postgres_server: PostgresServer, faulty: str) -> None:
    masked = Inspected(postgres_server, faulty)
    assert "TAG-001" not in str(masked.findings)
    assert "not shown, 7 characters" in str(masked.the("UNIQUE_COLLISION", "tickets$tag.name").examples)
    shown = Inspected(postgres_server, faulty, show_values=True)
    assert "TAG-001" in str(shown.the("UNIQUE_COLLISION", "tickets$tag.name").examples)


def test_the_inspection_changes_nothing_in_the_database(postgres_server: PostgresServer, faulty: str) -> None:
    def state() -> list[tuple[Any, ...]]:
        with psycopg.connect(postgres_server.dsn(faulty)) as connection:
            query = "SELECT relname, relfilenode, relpages FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            return sorted(connection.execute(query).fetchall())

    before = state()
    Inspected(postgres_server, faulty)
    assert state() == before


REMEDIES = [
    ("UNIQUE_COLLISION", "drop-constraint"),
    ("UNIQUE_NULLS", "filtered-index"),
    ("UNIQUE_NULLS", "drop-constraint"),
    ("UNLIMITED_UNIQUE", "drop-constraint"),
    ("INDEX_KEY_TOO_WIDE", "leave-out"),
    ("INDEX_KEY_TOO_WIDE", "nonclustered"),
    ("TOO_LONG_UTF16", "widen"),
    ("TOO_LONG_UTF16", "truncate"),
    ("DATE_OUT_OF_RANGE", "null"),
    ("DATE_OUT_OF_RANGE", "clamp"),
    ("NUMERIC_NOT_FINITE", "null"),
    ("NUMERIC_NOT_FINITE", "zero"),
    ("NUMERIC_OVERFLOW", "null"),
    ("NUMERIC_SCALE", "round"),
    ("DANGLING_REFERENCE", "null"),
    ("DANGLING_REFERENCE", "drop-constraint"),
]


@pytest.mark.parametrize(("code", "choice"), REMEDIES)
def test_a_chosen_remedy_mends_what_was_found(
    postgres_server: PostgresServer, faulty: str, code: str, choice: str
) -> None:
    inspected = Inspected(postgres_server, faulty, remedies={code: choice})
    mended = {(one.code, one.object) for one in inspected.findings if one.chosen == choice}
    assert mended == {
        (one.code, one.object) for one in inspected.findings if choice in one.choices and one.code == code
    }
    assert mended
    again = inspected.again()
    assert not mended & again
    others = inspected.names() - mended
    assert others - again <= {("INDEX_KEY_TOO_WIDE", "legacy$import.idx_legacy$import_path_asc")}


def test_a_remedy_may_be_chosen_for_one_object_only(postgres_server: PostgresServer, faulty: str) -> None:
    inspected = Inspected(postgres_server, faulty, remedies={"NUMERIC_NOT_FINITE:orders$product.price": "zero"})
    assert inspected.the("NUMERIC_NOT_FINITE", "orders$product.price").chosen == "zero"
    assert inspected.the("NUMERIC_NOT_FINITE", "legacy$import.ratio").chosen is None
    before = inspected.rows(inspected.plan, "orders$product", "price")
    after = inspected.rows(inspected.settled, "orders$product", "price")
    assert {after[key] for key, value in before.items() if value == "NaN"} == {"0"}
    assert all(after[key] == value for key, value in before.items() if value != "NaN")


def test_a_remedy_that_is_not_offered_leaves_the_error_and_says_so(
    postgres_server: PostgresServer, faulty: str
) -> None:
    finding = Inspected(postgres_server, faulty, remedies={"UNIQUE_NULLS": "ignore"}).the("UNIQUE_NULLS")
    assert finding.chosen is None
    assert "`ignore`" in finding.message
    assert "`filtered-index`" in finding.message


def test_a_collation_that_keeps_case_mends_case_and_not_trailing_blanks(
    postgres_server: PostgresServer, faulty: str
) -> None:
    choice = "collation:Latin1_General_100_BIN2"
    inspected = Inspected(postgres_server, faulty, remedies={"UNIQUE_COLLISION": choice})
    assert inspected.the("UNIQUE_COLLISION", "orders$product.sku").chosen == choice
    assert inspected.the("UNIQUE_COLLISION", "orders$category.name").chosen == choice
    sku = next(one for one in inspected.settled.table("orders$product").columns if one.name == "sku")
    assert sku.collation == "Latin1_General_100_BIN2"
    still = inspected.the("UNIQUE_COLLISION", "tickets$tag.name")
    assert still.chosen is None
    assert still.count == 2
    assert "does not mend it" in still.message


def test_the_requests_collation_decides_what_collides(postgres_server: PostgresServer, faulty: str) -> None:
    inspected = Inspected(postgres_server, faulty, collation="Latin1_General_100_CS_AS_WS")
    assert ("UNIQUE_COLLISION", "orders$product.sku") not in inspected.names()
    assert inspected.the("UNIQUE_COLLISION", "tickets$tag.name").count == 4, "trailing blanks, and kana"
    inspected = Inspected(postgres_server, faulty, collation="Latin1_General_100_CS_AS_KS_WS")
    assert inspected.the("UNIQUE_COLLISION", "tickets$tag.name").count == 2


def test_truncated_strings_keep_as_many_whole_characters_as_fit(postgres_server: PostgresServer, faulty: str) -> None:
    inspected = Inspected(postgres_server, faulty, remedies={"TOO_LONG_UTF16": "truncate"})
    column = next(one for one in inspected.plan.table("customers$party").columns if one.name == "displayname")
    assert string_length(column.type) == 200
    before = inspected.rows(inspected.plan, "customers$party", "displayname")
    after = inspected.rows(inspected.settled, "customers$party", "displayname")
    changed = {key for key in before if before[key] != after[key]}
    assert sorted(after[key] for key in changed) == ["a" * 199, "🚚" * 100]


def test_dates_are_clamped_to_what_datetime2_holds(postgres_server: PostgresServer, faulty: str) -> None:
    inspected = Inspected(postgres_server, faulty, remedies={"DATE_OUT_OF_RANGE": "clamp"})
    before = inspected.rows(inspected.plan, "legacy$import", "importedat")
    after = inspected.rows(inspected.settled, "legacy$import", "importedat")
    assert {before[key]: after[key] for key in before if before[key] != after[key]} == {
        "infinity": "9999-12-31 23:59:59.999",
        "-infinity": "0001-01-01 00:00:00",
        "0044-03-15 12:00:00 BC": "0001-01-01 00:00:00",
        "20260-11-22 00:00:00": "9999-12-31 23:59:59.999",
        "9999-12-31 23:59:59.9999": "9999-12-31 23:59:59.999",
    }


def test_widening_a_column_leaves_out_the_keys_that_cannot_be(postgres_server: PostgresServer, faulty: str) -> None:
    table = Inspected(postgres_server, faulty, remedies={"TOO_LONG_UTF16": "widen"}).settled.table("customers$party")
    assert next(one for one in table.columns if one.name == "displayname").type == "nvarchar(max)"
    concerned = [key for key in table.indexes if any(one.name == "displayname" for one in key.columns)]
    assert concerned
    assert all(key.omitted for key in concerned)


def test_each_key_that_widening_leaves_out_is_a_warning(postgres_server: PostgresServer, faulty: str) -> None:
    inspected = Inspected(postgres_server, faulty, remedies={"TOO_LONG_UTF16": "widen"})
    assert "indexes are left out" in inspected.the("TOO_LONG_UTF16").remedy
    found = keys_left_out(inspected.plan, inspected.settled)
    omitted = {
        f"{table.name}.{key.name}": key.unique
        for table in inspected.settled.tables for key in table.indexes if "became nvarchar(max)" in str(key.omitted)
    }  # fmt: skip
    assert {one.object for one in found} == set(omitted)
    assert all(one.severity == "warning" and one.code == "KEY_LEFT_OUT" for one in found)
    assert all(("Nothing keeps its values unique" in one.message) == omitted[one.object] for one in found)
    assert keys_left_out(inspected.plan, inspected.plan) == []


def test_a_filtered_index_takes_the_place_of_the_constraint(postgres_server: PostgresServer, faulty: str) -> None:
    settled = Inspected(postgres_server, faulty, remedies={"UNIQUE_NULLS": "filtered-index"}).settled
    (key,) = [one for one in settled.table("customers$party").indexes if one.unique]
    assert (key.constraint, key.where) == (False, "[customernumber] IS NOT NULL")


def test_object_sequences_are_raised_over_the_ids_in_use(postgres_server: PostgresServer, faulty: str) -> None:
    inspected = Inspected(postgres_server, faulty, remedies={"OBJECT_SEQUENCE_BEHIND": "raise"})
    guid = inspected.the("OBJECT_SEQUENCE_BEHIND").object.partition(".")[2]
    before, after = (sequences(inspected, plan) for plan in (inspected.plan, inspected.settled))
    assert before[guid] == 1
    assert after[guid] == 101
    assert {key: value for key, value in after.items() if key != guid} == {
        key: value for key, value in before.items() if key != guid
    }


def sequences(inspected: Inspected, plan: DatabasePlan) -> dict[str, int]:
    table: PlannedTable = plan.table("mendixsystem$entityidentifier")
    with psycopg.connect(inspected.server.dsn(inspected.database)) as connection:
        statement = f"SELECT id, object_sequence FROM ({select_sql(table, '')}) AS s"
        return dict(connection.execute(statement.encode()).fetchall())


@pytest.mark.parametrize(
    ("collation", "left", "right", "equal"),
    [
        ("SQL_Latin1_General_CP1_CI_AS", "Bob", "bOB", True),
        ("SQL_Latin1_General_CP1_CI_AS", "É", "é", True),
        ("SQL_Latin1_General_CP1_CI_AS", "é", "e", False),
        ("SQL_Latin1_General_CP1_CI_AS", "a", "a  ", True),
        ("SQL_Latin1_General_CP1_CI_AS", " a", "a", False),
        ("SQL_Latin1_General_CP1_CI_AS", "ＳＫＵ", "sku", True),
        ("SQL_Latin1_General_CP1_CI_AS", "Straße", "STRASSE", True),
        ("SQL_Latin1_General_CP1_CI_AS", "ひ", "ヒ", True),
        ("Latin1_General_100_CI_AS_KS_WS", "ひ", "ヒ", False),
        ("Latin1_General_100_CI_AI", "é", "E", True),
        ("Latin1_General_100_CS_AS", "Bob", "bob", False),
        ("Latin1_General_100_CS_AS", "é", "e\u0301", True),
        ("Latin1_General_100_CS_AS_WS", "Ａ", "A", False),
        ("Latin1_General_100_BIN2", "é", "e\u0301", False),
        ("Latin1_General_100_BIN2", "a", "a ", True),
        ("SQL_Latin1_General_CP1_CI_AS", "Team 🚀", "Team 🎉", True),
        ("SQL_Latin1_General_CP1_CI_AS", "Team 🚀", "Team", True),
        ("SQL_Latin1_General_CP1_CI_AS", "Șc", "C", True),
        ("Latin1_General_CS_AS", "㐢㐢", "㐢", True),
        ("SQL_Latin1_General_CP1_CI_AS", "Şc", "C", False),
        ("SQL_Latin1_General_CP1_CI_AS", "Łódź – 東京 ½ €", "Łódź – 東 ½ €", False),
        ("SQL_Latin1_General_CP1_CI_AS", "Ελλάδα", "Россия", False),
        ("SQL_Latin1_General_CP1_CI_AS", "[a]", "(a)", False),
        ("Latin1_General_90_CI_AS", "🚀", "🎉", False),
        ("Latin1_General_100_CS_AS", "Team 🚀", "Team 🎉", False),
        ("Latin1_General_100_CI_AS", "Șc", "C", False),
        ("Latin1_General_100_CI_AS", "5 ₹", "5 ₽", True),
        ("Latin1_General_100_CI_AS", "so\u00adft", "soft", True),
        ("Japanese_XJIS_140_CI_AS", "5 ₹", "5 ₽", False),
        ("Latin1_General_100_BIN2", "Team 🚀", "Team 🎉", False),
        ("Latin1_General_100_CS_AS", "Ærø", "AErø", True),
        ("Latin1_General_100_CS_AS", "ærø", "AErø", False),
        ("Latin1_General_100_CI_AI", "Ærø", "aero", True),
        ("Japanese_CI_AS", "びょういん", "びよういん", True),
        ("Japanese_CS_AS", "びょういん", "びよういん", False),
        ("Japanese_CI_AI", "バス", "ハス", True),
    ],
)
def test_collations_are_told_in_postgres(
    postgres_server: PostgresServer, database: str, collation: str, left: str, right: str, equal: bool
) -> None:
    with read_only(postgres_server, database) as connection:
        look = Look.at(connection, DatabasePlan(run="r", tables=[]), Options(), collation)
        folded = [Collation.of(collation).fold(f"'{text}'::text", look.lower) for text in (left, right)]
        assert look.one(f"SELECT {folded[0]} = {folded[1]}") == (equal,)


SOURCES = ("inspection/*.py", "mendix/conversion.py", "mendix/planning.py", "mendix/autonumbers.py")
NOT_IN_THE_SAMPLE = {"NAME_TOO_LONG"}
"""Without a remedy, so that the sample could never be moved; tests/unit/test_conversion.py has it."""


def test_every_finding_that_plan_and_inspection_can_make_is_in_the_sample(
    postgres_server: PostgresServer, faulty: str
) -> None:
    files = [file for pattern in SOURCES for file in (ROOT / "shared").glob(pattern)]
    declared = {code for file in files for code in re.findall(r'"([A-Z][A-Z0-9]*(?:_[A-Z0-9]+)+)"', file.read_text())}
    masks = [{"table": "customers$party", "column": "nowhere"}]
    widened = {"TOO_LONG_UTF16": "widen"}
    inspected = Inspected(postgres_server, faulty, purpose="rehearsal", masks=masks, remedies=widened)
    left_out = keys_left_out(inspected.plan, inspected.settled)
    found = {one.code for one in (*inspected.planned, *inspected.findings, *left_out)}
    assert len(declared) > 20
    assert declared - found == NOT_IN_THE_SAMPLE
