"""DDL texts, names, drivers' errors, connection strings."""

import pyodbc
import pytest

from shared.databaseplan import (
    DatabasePlan,
    IndexColumn,
    PlannedColumn,
    PlannedForeignKey,
    PlannedIndex,
    PlannedTable,
)
from shared.errors import Refusal, TransientError
from shared.settings import SqlServer
from shared.sqlserver import ddl
from shared.sqlserver.connection import connection_string, literal, quote, token_struct
from shared.sqlserver.errors import classified, is_transient, number_of, text_of


def column(name: str, type_: str, **more: object) -> PlannedColumn:
    return PlannedColumn(name=name, source_name=name, source_type="x", type=type_, **more)  # type: ignore[arg-type]


CUSTOMER = PlannedTable(
    name="crm$customer",
    source_name="crm$customer",
    columns=[column("id", "bigint", nullable=False), column("name", "nvarchar(200)"), column("born", "datetime2(3)")],
    primary_key=PlannedIndex(name="pk_crm$customer", columns=[IndexColumn(name="id")], unique=True),
    indexes=[
        PlannedIndex(name="uniq_name", columns=[IndexColumn(name="name")], unique=True, constraint=True),
        PlannedIndex(name="idx", columns=[IndexColumn(name="born", descending=True), IndexColumn(name="id")]),
    ],
    foreign_keys=[
        PlannedForeignKey(
            name="frn", columns=["id"], referenced_table="crm$party", referenced_columns=["id"], on_delete="CASCADE"
        )
    ],
)


def test_a_heap_is_made_without_keys_and_a_keyed_table_with_its_primary_key() -> None:
    heap = ddl.create_table(CUSTOMER)
    assert heap == (
        "CREATE TABLE [dbo].[crm$customer] (\n    [id] bigint NOT NULL,\n    [name] nvarchar(200) NULL,\n"
        "    [born] datetime2(3) NULL\n)"
    )
    keyed = ddl.create_table(CUSTOMER, with_key=True)
    assert keyed.endswith("    CONSTRAINT [pk_crm$customer] PRIMARY KEY CLUSTERED ([id] ASC)\n)")


def test_a_collation_is_put_on_string_columns_only_and_a_columns_own_wins() -> None:
    assert "[name] nvarchar(200) COLLATE Latin1_General_100_CS_AS NULL" in ddl.create_table(
        CUSTOMER, "Latin1_General_100_CS_AS"
    )
    assert "datetime2(3) COLLATE" not in ddl.create_table(CUSTOMER, "Latin1_General_100_CS_AS")
    own = CUSTOMER.model_copy(update={"columns": [column("name", "nvarchar(9)", collation="Latin1_General_100_BIN2")]})
    assert "COLLATE Latin1_General_100_BIN2 NULL" in ddl.create_table(own, "Latin1_General_100_CS_AS")


def test_a_collation_that_is_no_name_is_refused() -> None:
    with pytest.raises(Refusal, match="SQL_BAD_COLLATION"):
        ddl.create_table(CUSTOMER, "x; DROP TABLE y")


def test_keys_indexes_and_foreign_keys_are_written_as_sql_server_takes_them() -> None:
    assert CUSTOMER.primary_key is not None
    assert ddl.add_primary_key(CUSTOMER, CUSTOMER.primary_key) == (
        "ALTER TABLE [dbo].[crm$customer] ADD CONSTRAINT [pk_crm$customer] PRIMARY KEY CLUSTERED ([id] ASC)"
    )
    assert ddl.add_index(CUSTOMER, CUSTOMER.indexes[0]) == (
        "ALTER TABLE [dbo].[crm$customer] ADD CONSTRAINT [uniq_name] UNIQUE ([name] ASC)"
    )
    assert ddl.add_index(CUSTOMER, CUSTOMER.indexes[1]) == (
        "CREATE INDEX [idx] ON [dbo].[crm$customer] ([born] DESC, [id] ASC)"
    )
    assert ddl.add_foreign_key(CUSTOMER, CUSTOMER.foreign_keys[0]) == (
        "ALTER TABLE [dbo].[crm$customer] WITH CHECK ADD CONSTRAINT [frn] FOREIGN KEY ([id])"
        " REFERENCES [dbo].[crm$party] ([id]) ON DELETE CASCADE"
    )


def test_a_filtered_index_has_its_predicate() -> None:
    index = CUSTOMER.indexes[0].model_copy(update={"constraint": False, "where": "[name] IS NOT NULL"})
    assert ddl.add_index(CUSTOMER, index).endswith(
        "UNIQUE INDEX [uniq_name] ON [dbo].[crm$customer] ([name] ASC) WHERE [name] IS NOT NULL"
    )


def test_the_script_says_what_is_left_out_and_why() -> None:
    left_out = CUSTOMER.indexes[0].model_copy(update={"omitted": "the request chose so"})
    plan = DatabasePlan(run="r", tables=[CUSTOMER.model_copy(update={"indexes": [left_out]})], procedures=["CREATE P"])
    script = ddl.script(plan)
    assert (
        "-- Left out (the request chose so):\n-- ALTER TABLE [dbo].[crm$customer] ADD CONSTRAINT [uniq_name]" in script
    )
    assert script.index("PRIMARY KEY") < script.index("FOREIGN KEY") < script.index("CREATE P")


def test_names_are_quoted_and_limited() -> None:
    assert quote("a]b") == "[a]]b]"
    assert quote("x" * 128)
    for bad in ("", "x" * 129, "😀" * 65, "a\0b"):
        with pytest.raises(Refusal, match="SQL_BAD_NAME"):
            quote(bad)
    assert literal("O'Brien") == "N'O''Brien'"


def test_a_token_is_packed_as_the_driver_wants_it() -> None:
    assert token_struct("ab") == b"\x04\x00\x00\x00a\x00b\x00"


def test_a_password_with_special_characters_is_braced() -> None:
    profile = SqlServer(server="sql.example.net,1433", database="my db", user="app", password="p}a;w")  # type: ignore[arg-type]
    text = connection_string(profile)
    assert "PWD={p}}a;w}" in text
    assert "SERVER=sql.example.net,1433;DATABASE={my db};Encrypt=yes;TrustServerCertificate=no" in text


def odbc(state: str, text: str) -> pyodbc.Error:
    return pyodbc.Error(state, f"[{state}] [Microsoft][ODBC Driver 18 for SQL Server][SQL Server]{text}")


@pytest.mark.parametrize(
    ("error", "number", "transient"),
    [
        (odbc("23000", "Violation of PRIMARY KEY. (2627) (SQLExecDirectW)"), 2627, False),
        (odbc("40001", "Transaction was deadlocked. (1205) (SQLExecDirectW)"), 1205, True),
        (odbc("42000", "The service is busy. (40501) (SQLExecDirectW)"), 40501, True),
        (odbc("HYT00", "Login timeout expired (0) (SQLDriverConnect)"), 0, True),
        (odbc("08S01", "Communication link failure (0) (SQLExecDirectW)"), 0, True),
        (odbc("42S02", "Invalid object name 'x'. (208) (SQLExecDirectW)"), 208, False),
        (RuntimeError("Sql Error: 1222: Class 16: Lock request time out"), 1222, True),
        (RuntimeError("IO error: Broken pipe"), None, True),
        (RuntimeError("String length (300 characters) exceeds schema size (200)"), None, False),
    ],
)
def test_errors_are_classified_by_their_native_number(error: Exception, number: int | None, transient: bool) -> None:
    assert number_of(error) == number
    assert is_transient(error) is transient
    assert isinstance(classified(error, "t"), TransientError if transient else Refusal)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RuntimeError("Sql Error: 40544: Class 20: State 1: The database has reached its size quota."), "TARGET_FULL"),
        (odbc("42000", "Could not allocate space for object 't'. (1105) (SQLExecDirectW)"), "TARGET_FULL"),
        (RuntimeError("Sql Error: 9002: Class 17: State 4: The transaction log is full."), "TARGET_FULL"),
        (odbc("42000", "Excessive transaction log space usage. (40552) (SQLExecDirectW)"), "TARGET_FULL"),
        (RuntimeError("Sql Error: 824: Class 24: State 2: a logical consistency-based I/O error"), "SQL_TRANSIENT"),
        (RuntimeError("Sql Error: 40553: Class 16: State 1: excessive memory usage"), "SQL_TRANSIENT"),
        (RuntimeError("Sql Error: 547: Class 16: State 0: conflicted with the CHECK constraint"), "SQL_REFUSED"),
        (odbc("HYT00", "Query timeout expired (0) (SQLExecDirectW)"), "SQL_TIMEOUT"),
        (odbc("HYT00", "Login timeout expired (0) (SQLDriverConnect)"), "SQL_TRANSIENT"),
    ],
)
def test_an_error_about_resources_is_none_about_a_statement_and_every_one_has_a_remedy(
    error: Exception, code: str
) -> None:
    found = classified(error, "t")
    assert found.code == code
    assert found.remedy.endswith(".")


@pytest.mark.parametrize(
    "text",
    [
        "Cannot insert duplicate key row. The duplicate key value is (bob@example.com). (2601) (SQLExecDirectW)",
        "String would be truncated in table 't', column 'c'. Truncated value: 'bob@example.com'. (2628) (X)",
        "Conversion failed when converting the nvarchar value 'bob@example.com' to data type int. (245) (X)",
        "could not connect: PWD=bob@example.com;UID=x",
    ],
)
def test_an_errors_text_holds_no_values_and_no_password(text: str) -> None:
    said = text_of(odbc("23000", text))
    assert "bob@example.com" not in said
    assert "(not shown)" in said
    assert "[Microsoft]" not in said


def test_a_login_that_fails_says_where_to_look() -> None:
    refusal = classified(odbc("28000", "Login failed for user 'x'. (18456) (SQLDriverConnect)"), "server/db")
    assert (refusal.code, refusal.about) == ("SQL_LOGIN_FAILED", "server/db")
    assert refusal.remedy
