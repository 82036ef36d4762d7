"""From source tables and metadata to the plan: types, names, what stays empty, what is read differently."""

from typing import Any
from unittest.mock import MagicMock

import pytest

from shared.databaseplan import PlannedColumn, PlannedForeignKey, PlannedTable
from shared.errors import Finding
from shared.mendix.autonumbers import auto_number_findings
from shared.mendix.conversion import Conversion, convert
from shared.mendix.metadata import Association, Attribute, Entity, Metadata, Sequence
from shared.mendix.sequences import AutoNumber, current_value_expression, read_auto_numbers
from shared.mendix.source import KeyColumn, SourceColumn, SourceDatabase, SourceKey, SourceSequence, SourceTable
from shared.request import Mask, Options
from shared.sqlserver import cascades
from shared.sqlserver.types import by_attribute, by_postgres_type

RUN = "20261122t211500-abcdef"
CUSTOMER = Entity("e-customer", "Crm.Customer", "crm$customer")


def attribute(name: str, code: int, length: int = 0, entity: str = CUSTOMER.id) -> Attribute:
    return Attribute(f"a-{entity}-{name}", entity, name.title(), name, code, length, code == 0)


def table(name: str, *columns: tuple[str, str], keys: tuple[SourceKey, ...] = ()) -> SourceTable:
    primary = SourceKey(f"{name}_pkey", "primary", (KeyColumn("id"),), unique=True)
    return SourceTable(
        name=name,
        columns=(SourceColumn("id", "bigint", False), *(SourceColumn(c, kind, True) for c, kind in columns)),
        keys=(primary, *keys),
    )


def conversion(tables: list[SourceTable], metadata: Metadata, **options: Any) -> Conversion:
    return Conversion(SourceDatabase({one.name: one for one in tables}), metadata, Options(**options), RUN)


def metadata(*attributes: Attribute, entities: tuple[Entity, ...] = (CUSTOMER,), **more: Any) -> Metadata:
    return Metadata(entities=entities, attributes=attributes, associations=more.pop("associations", ()), **more)


def planned(work: Conversion, name: str) -> PlannedTable:
    return convert(work).table(name)


def column(table: PlannedTable, name: str) -> PlannedColumn:
    return next(one for one in table.columns if one.name == name)


@pytest.mark.parametrize(
    ("code", "length", "source", "target"),
    [
        (0, 0, "bigint", "bigint"),
        (1, 0, "double precision", "float"),
        (2, 0, "double precision", "float"),
        (3, 0, "integer", "int"),
        (4, 0, "bigint", "bigint"),
        (5, 0, "numeric(28,8)", "decimal(28,8)"),
        (5, 0, "numeric", "decimal(28,8)"),
        (10, 0, "boolean", "bit"),
        (20, 0, "timestamp without time zone", "datetime2(3)"),
        (20, 0, "timestamp(3) without time zone", "datetime2(3)"),
        (30, 200, "character varying(200)", "nvarchar(200)"),
        (30, 4000, "character varying(4000)", "nvarchar(4000)"),
        (30, 4001, "character varying(4001)", "nvarchar(max)"),
        (30, 0, "text", "nvarchar(max)"),
        (40, 9, "character varying(9)", "nvarchar(9)"),
        (50, 0, "bytea", "varbinary(max)"),
    ],
)
def test_an_attribute_decides_its_columns_type(code: int, length: int, source: str, target: str) -> None:
    assert by_attribute(code, length, source) == target


@pytest.mark.parametrize(("code", "source"), [(3, "text"), (30, "bigint"), (99, "bigint"), (20, "date"), (5, "money")])
def test_a_code_that_does_not_fit_the_column_has_no_type(code: int, source: str) -> None:
    assert by_attribute(code, 0, source) is None


@pytest.mark.parametrize(
    ("source", "target"),
    [
        ("smallint", "smallint"),
        ("character varying(511)", "nvarchar(511)"),
        ("character varying", "nvarchar(max)"),
        ("numeric(10,2)", "decimal(10,2)"),
        ("numeric(5)", "decimal(5,0)"),
        ("numeric(50,2)", None),
        ("interval", None),
        ("integer[]", None),
        ("jsonb", None),
    ],
)
def test_without_an_attribute_the_postgres_type_decides(source: str, target: str | None) -> None:
    assert by_postgres_type(source) == target


def test_an_unknown_type_is_an_error_with_its_name_and_a_choice() -> None:
    work = conversion([table("crm$customer", ("seen", "interval"))], metadata())
    seen = column(planned(work, "crm$customer"), "seen")
    (finding,) = work.findings
    assert (finding.code, finding.severity, finding.object) == ("UNKNOWN_TYPE", "error", "crm$customer.seen")
    assert "interval" in finding.message
    assert finding.choices == ["as-text"]
    assert (seen.type, seen.expression) == ("nvarchar(max)", '"seen"::text')


def test_primary_key_columns_are_not_null_and_the_key_is_named_after_the_table() -> None:
    done = planned(conversion([table("crm$customer")], metadata()), "crm$customer")
    assert not column(done, "id").nullable
    assert done.primary_key is not None
    assert done.primary_key.name == "pk_crm$customer"
    assert done.entity == "Crm.Customer"


def test_a_name_that_postgres_cut_is_whole_again_on_the_target() -> None:
    whole = "verylongmodulename$" + "averyverylongentityname" * 4
    cut = whole[:63]
    entity = Entity("e", "Very.Long", whole)
    done = convert(conversion([table(cut)], metadata(entities=(entity,)))).tables[0]
    assert (done.name, done.source_name) == (whole, cut)


def test_a_name_over_128_characters_is_an_error() -> None:
    whole = "m$" + "x" * 130
    work = conversion([table(whole[:63])], metadata(entities=(Entity("e", "M.X", whole),)))
    convert(work)
    assert {finding.code for finding in work.findings} == {"NAME_TOO_LONG"}


def test_index_columns_keep_their_order_and_direction() -> None:
    index = SourceKey("idx", "index", (KeyColumn("born", descending=True), KeyColumn("id")), unique=False)
    source = table("crm$customer", ("born", "timestamp without time zone"), keys=(index,))
    (done,) = planned(conversion([source], metadata()), "crm$customer").indexes
    assert [(one.name, one.descending) for one in done.columns] == [("born", True), ("id", False)]


def test_an_index_on_an_unlimited_string_is_left_out_with_a_warning() -> None:
    index = SourceKey("idx", "index", (KeyColumn("notes"),), unique=False)
    work = conversion([table("crm$customer", ("notes", "text"), keys=(index,))], metadata())
    (done,) = planned(work, "crm$customer").indexes
    assert done.omitted
    assert [finding.code for finding in work.findings] == ["INDEX_UNLIMITED"]


def test_a_table_left_over_from_a_dropped_entity_is_not_carried_over() -> None:
    work = conversion([table("crm$customer"), table("e08d6ec7514e484c8697092625d148cb")], metadata())
    assert [one.name for one in convert(work).tables] == ["crm$customer"]
    assert [finding.code for finding in work.findings] == ["LEFTOVER_TABLE"]


SESSION = Entity("e-session", "System.Session", "system$session")
TASK = Entity("e-task", "System.QueuedTask", "system$queuedtask")
LINK = Association(
    "l", "Crm.Customer_Session", "crm$customer_session", CUSTOMER.id, SESSION.id, "crm$customerid", "system$sessionid"
)
DIRECT = Association("d", "Crm.Last", "crm$customer", CUSTOMER.id, SESSION.id, "id", "crm$last", storage_format=1)


def test_sessions_and_links_to_them_start_empty_and_columns_that_refer_to_them_are_emptied() -> None:
    tables = [table("crm$customer", ("crm$last", "bigint")), table("system$session"), table("crm$customer_session")]
    model = metadata(entities=(CUSTOMER, SESSION), associations=(LINK, DIRECT))
    plan = convert(conversion(tables, model))
    assert {one.name: one.content for one in plan.tables} == {
        "crm$customer": "copy",
        "system$session": "empty",
        "crm$customer_session": "empty",
    }
    assert plan.table("crm$customer_session").reason == "links to System.Session, which starts empty"
    last = column(plan.table("crm$customer"), "crm$last")
    assert last.expression == "NULL::bigint"
    assert last.changed == "refers to System.Session, which starts empty"


@pytest.mark.parametrize(("purpose", "content"), [("cutover", "copy"), ("rehearsal", "empty")])
def test_queued_work_is_kept_by_a_cutover_and_emptied_by_a_rehearsal(purpose: str, content: str) -> None:
    work = conversion([table("system$queuedtask")], metadata(entities=(TASK,)), purpose=purpose)
    assert planned(work, "system$queuedtask").content == content


def test_specialisations_of_a_volatile_entity_start_empty_too() -> None:
    special = Entity("e-special", "Crm.SpecialSession", "crm$specialsession", superentity_id=SESSION.id)
    work = conversion([table("crm$specialsession")], metadata(entities=(SESSION, special)))
    assert planned(work, "crm$specialsession").content == "empty"


def test_the_deployment_id_is_dropped_and_unknown_properties_are_named() -> None:
    model = metadata(properties={"MxAdminUserName": "MxAdmin", "Mendix.Runtime.DeploymentID": "x", "Own": "1"})
    source = SourceTable("mendixsystem$properties", (SourceColumn("key", "character varying(200)", False),))
    plan = convert(conversion([source], model))
    assert plan.tables[0].where == "\"key\" NOT IN ('Mendix.Runtime.DeploymentID')"
    assert [note.split()[1] for note in plan.notes] == ["Mendix.Runtime.DeploymentID", "Own"]


@pytest.mark.parametrize(
    ("native", "largest", "row", "start", "expected"),
    [
        (284, 270, 0, 1, 284),  # the native sequence is ahead of the rows: deleted numbers are not given out again
        (2, 94, 0, 1, 94),  # behind: floored at the largest number in use
        (0, None, 0, 1, 0),  # never used
        (None, 94, 3, 1, 94),  # no native sequence
        (None, None, 17, 1, 17),
        (None, None, None, 100, 99),
    ],
)
def test_an_autonumber_goes_on_after_the_last_number_used(
    native: int | None, largest: int | None, row: int | None, start: int, expected: int
) -> None:
    number = AutoNumber(Sequence("s", "a", start, row), "t", "c", native, largest)
    assert number.current_value == expected


NUMBER = attribute("number", 0)


def counted(native: str | None, *rows: Sequence) -> tuple[list[AutoNumber], list[Finding]]:
    """The AutoNumbers of a table with one AutoNumber column, and what is found about them."""
    tables = {"crm$customer": table("crm$customer", ("number", "bigint"))}
    natives = {native: SourceSequence(native, 40, True)} if native else {}
    database, model = SourceDatabase(tables, natives), metadata(NUMBER, sequences=rows)
    empty = MagicMock()
    empty.execute.return_value.fetchone.return_value = (None,)
    numbers = read_auto_numbers(empty, database, model)
    return numbers, auto_number_findings(numbers, database, model)


def codes(findings: list[Finding]) -> dict[str, str]:
    return {finding.code: finding.severity for finding in findings}


def test_a_native_sequence_is_found_by_the_columns_name_where_the_metadata_has_another() -> None:
    (number,), findings = counted("crm$customer_number_mxseq", Sequence("crm$client_number_mxseq", NUMBER.id, 1, 40))
    assert (number.native, number.found_as, findings) == (40, "crm$customer_number_mxseq", [])


def test_an_autonumber_without_its_native_sequence_is_an_error_that_may_be_accepted() -> None:
    _, (finding,) = counted(None, Sequence("crm$customer_number_mxseq", NUMBER.id, 1, 40))
    assert (finding.code, finding.severity, finding.choices) == ("SEQUENCE_MISSING", "error", ["accept"])


def test_an_autonumber_without_a_row_is_an_error_and_its_native_sequence_is_no_idle_one() -> None:
    _, (finding,) = counted("crm$customer_number_mxseq")
    assert (finding.code, finding.object) == ("AUTONUMBER_WITHOUT_SEQUENCE", "crm$customer.number")
    assert (finding.severity, finding.choices) == ("error", ["accept"])
    assert "gave out 40" in finding.message


def test_a_native_sequence_that_belongs_to_no_autonumber_is_named() -> None:
    _, findings = counted("crm$old_number_mxseq", Sequence("crm$customer_number_mxseq", NUMBER.id, 1, 40))
    assert codes(findings) == {"SEQUENCE_MISSING": "error", "SEQUENCE_UNCLAIMED": "warning"}
    assert findings[-1].examples == ["crm$old_number_mxseq: gave out 40"]


def test_the_sequence_table_is_read_through_the_computed_values() -> None:
    number = AutoNumber(Sequence("s", "a'1", 1, 0), "t", "c", 284, 270)
    expected = "CASE \"attribute_id\" WHEN 'a''1' THEN 284::bigint ELSE \"current_value\" END"
    assert current_value_expression([number]) == expected
    assert current_value_expression([]) is None


def masked(kind: str, type_: str, length: int = 0, purpose: str = "rehearsal") -> tuple[Conversion, PlannedColumn]:
    model = metadata(attribute("email", 30, length))
    masks = [Mask(table="crm$customer", column="email", how=kind)]  # type: ignore[arg-type]
    work = conversion([table("crm$customer", ("email", type_))], model, purpose=purpose, masks=masks)
    return work, column(planned(work, "crm$customer"), "email")


def test_a_mask_replaces_the_value_on_the_way() -> None:
    work, email = masked("email", "character varying(200)", 200)
    assert not work.findings
    assert email.expression is not None
    assert "sha256" in email.expression
    assert RUN not in email.expression
    assert email.changed == "masked (email)"


def test_a_mask_that_is_impossible_is_an_error() -> None:
    for work, _ in (
        masked("email", "character varying(20)", 20),
        masked("hash", "character varying(200)", 200, purpose="cutover"),
    ):
        assert [finding.code for finding in work.findings] == ["MASK_IMPOSSIBLE"]


def test_a_mask_of_an_unknown_column_is_an_error() -> None:
    masks = [Mask(table="crm$customer", column="nope")]
    work = conversion([table("crm$customer")], metadata(), purpose="rehearsal", masks=masks)
    convert(work)
    assert [(one.code, one.object) for one in work.findings] == [("MASK_IMPOSSIBLE", "crm$customer.nope")]


def linked(name: str, *to: tuple[str, str]) -> PlannedTable:
    keys = [
        PlannedForeignKey(
            name=f"frn_{name}_{other}_{n}", columns=[other], referenced_table=other, referenced_columns=["id"],
            on_delete=action,  # type: ignore[arg-type]
        )
        for n, (other, action) in enumerate(to)
    ]  # fmt: skip
    return PlannedTable(name=name, source_name=name, columns=[], foreign_keys=keys)


def refused(*tables: PlannedTable) -> list[str]:
    return [key.name for _, key in cascades.refused(tables)]


def test_two_cascading_paths_to_one_table_are_found() -> None:
    assert refused(linked("t", ("user", "SET NULL"), ("user", "SET NULL"))) == ["frn_t_user_1"]
    diamond = (linked("a", ("top", "CASCADE")), linked("b", ("top", "CASCADE")))
    assert refused(*diamond, linked("bottom", ("a", "CASCADE"), ("b", "SET NULL"))) == ["frn_bottom_b_1"]


def test_a_cascading_circle_is_found() -> None:
    assert refused(linked("folder", ("folder", "CASCADE"))) == ["frn_folder_folder_0"]
    assert refused(linked("a", ("b", "CASCADE")), linked("b", ("a", "CASCADE"))) == ["frn_b_a_0"]


def test_plain_foreign_keys_and_single_paths_are_fine() -> None:
    assert not refused(linked("t", ("user", "SET NULL"), ("user", "NO ACTION")), linked("u", ("t", "CASCADE")))
