"""Preflight of the target database on the SQL Server stand-in: each finding, and all of them at once."""

from typing import Any

import pyodbc
import pytest
from pydantic import SecretStr

from shared.errors import Finding, TransientError
from shared.mendix.remedies import collations
from shared.settings import SqlServer, TargetBlob, TargetProfile
from shared.sqlserver import catalogue, checks
from shared.sqlserver.catalogue import DatabaseState, Engine, SessionGroup
from shared.sqlserver.checks import check_target, grant
from shared.sqlserver.connection import connect

GOOD = {"TARGET_COLLATION"}


@pytest.fixture
def profile(sql_server: Any) -> TargetProfile:
    return profile_of(sql_server, sql_server.new_database())


def profile_of(sql_server: Any, database: str, **changes: Any) -> TargetProfile:
    values = {
        "server": f"{sql_server.host},{sql_server.port}", "database": database, "user": sql_server.user,
        "password": SecretStr(sql_server.password), "encrypt": "no",
    }  # fmt: skip
    blob = TargetBlob(connection_string=SecretStr("UseDevelopmentStorage=true"), container="c")
    return TargetProfile(sql=SqlServer(**(values | changes)), blob=blob)


def found(profile: TargetProfile, collation: str | None = None) -> dict[str, Finding]:
    return {finding.code: finding for finding in check_target(profile, collation)}


def test_an_empty_database_that_one_may_use_passes(profile: TargetProfile) -> None:
    findings = check_target(profile)
    assert not [one for one in findings if one.severity == "error"]
    assert {one.code for one in findings} - {"TARGET_OPTION"} == GOOD


def test_tables_that_are_there_are_listed_with_their_rows(profile: TargetProfile) -> None:
    assert profile.sql is not None
    with connect(profile.sql) as connection:
        connection.execute("CREATE TABLE [dbo].[old$customer] ([id] int NOT NULL)")
        connection.execute("INSERT INTO [dbo].[old$customer] ([id]) VALUES (?)", 1)
        connection.execute("CREATE TABLE [dbo].[old$order] ([id] int NOT NULL)")
    finding = found(profile)["TARGET_NOT_EMPTY"]
    assert (finding.severity, finding.count) == ("error", 2)
    assert finding.examples == ["old$customer: 1 rows", "old$order: 0 rows"]


def test_our_own_tables_of_an_earlier_run_do_not_count(profile: TargetProfile) -> None:
    from shared.sqlserver import marker
    from shared.sqlserver.ledger_table import CREATE_LEDGER

    assert profile.sql is not None
    with connect(profile.sql) as connection:
        marker.set_created(connection, "20200101t000000-abcdef")
        marker.set_finished(connection, "20200101t000000-abcdef")
        connection.execute(CREATE_LEDGER)
    assert "TARGET_NOT_EMPTY" not in found(profile)


def test_mode_existing_wants_a_runtimes_schema_without_rows_of_the_app(profile: TargetProfile) -> None:
    def seen() -> dict[str, Finding]:
        return {finding.code: finding for finding in check_target(profile, mode="existing")}

    assert seen()["TARGET_HAS_NO_SCHEMA"].severity == "error"
    assert profile.sql is not None
    with connect(profile.sql) as connection:
        for table in ("mendixsystem$entity", "system$user", "crm$customer"):
            connection.execute(f"CREATE TABLE [dbo].[{table}] ([id] bigint NOT NULL)")
            connection.execute(f"INSERT INTO [dbo].[{table}] ([id]) VALUES (?)", 1)
            if table != "crm$customer":
                assert not {"TARGET_HAS_NO_SCHEMA", "TARGET_NOT_EMPTY"} & set(seen())
    assert seen()["TARGET_NOT_EMPTY"].examples == ["crm$customer: 1 rows"]


def test_sessions_of_the_app_are_a_warning(sql_server: Any, profile: TargetProfile) -> None:
    assert profile.sql is not None
    with sql_server.connect(profile.sql.database, APP="Mendix Runtime"):
        finding = found(profile)["TARGET_IN_USE"]
    assert (finding.severity, finding.count) == ("warning", 1)
    assert "Mendix Runtime" in finding.examples[0]


def test_a_wrong_password_names_the_statements_that_mend_it_and_not_the_password(
    sql_server: Any, profile: TargetProfile
) -> None:
    assert profile.sql is not None
    wrong = profile_of(sql_server, profile.sql.database, password=SecretStr("Wrong-Password-1"))
    (finding,) = check_target(wrong)
    assert (finding.code, finding.severity) == ("TARGET_UNREACHABLE", "error")
    assert "18456" in finding.message
    assert "GRANT ALTER, CREATE PROCEDURE, CREATE TABLE, " in finding.remedy
    assert "TO [sa];" in finding.remedy
    assert "Wrong-Password-1" not in finding.model_dump_json()


def test_a_server_that_is_not_there_is_asked_again(
    sql_server: Any, profile: TargetProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(checks, "LOGIN_SECONDS", 2)
    with pytest.raises(TransientError) as raised:
        check_target(profile_of(sql_server, "x", server="127.0.0.1,9"))
    assert raised.value.code == "TARGET_UNREACHABLE"
    assert "firewall" in raised.value.remedy


def test_a_collation_that_the_target_does_not_know_is_an_error(profile: TargetProfile) -> None:
    assert found(profile, "No_Such_Collation")["UNKNOWN_COLLATION"].severity == "error"
    assert found(profile, "Latin1_General_100_CS_AS")["TARGET_COLLATION"].severity == "warning"


def test_a_collation_of_a_remedy_that_the_target_does_not_know_is_an_error(profile: TargetProfile) -> None:
    named = collations({"UNIQUE_COLLISION": "collation:Latin1_General_100_CS_AX", "UNIQUE_NULLS": "filtered-index"})
    unknown = [one for one in check_target(profile, of_remedies=named) if one.severity == "error"]
    assert [(one.code, "Latin1_General_100_CS_AX" in one.message) for one in unknown] == [("UNKNOWN_COLLATION", True)]
    known = check_target(profile, of_remedies=["Latin1_General_100_CS_AS"])
    assert "UNKNOWN_COLLATION" not in [one.code for one in known]


def test_an_old_server_and_options_that_are_off_are_found(
    profile: TargetProfile, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = DatabaseState("SQL_Latin1_General_CP1_CI_AS", 110, False, False)
    monkeypatch.setattr(catalogue, "engine", lambda _: Engine(3, "13.0.5026.0"))
    monkeypatch.setattr(catalogue, "database_state", lambda _: state)
    findings = check_target(profile)
    assert [one.code for one in findings if one.severity == "error"] == ["TARGET_TOO_OLD"]
    options = [one for one in findings if one.code == "TARGET_OPTION"]
    assert [one.severity for one in options] == ["info"] * 3, "the run sets them itself: nothing to do for anybody"
    assert all(one.remedy.startswith("ALTER DATABASE CURRENT SET") for one in options)


def test_azure_sql_is_new_enough_whatever_version_it_says() -> None:
    assert Engine(5, "12.0.2000.8").in_azure
    assert not Engine(3, "15.0.1").in_azure


class Answering:
    """A connection that gives one answer."""

    def __init__(self, row: tuple[Any, ...]) -> None:
        self.row = row

    def execute(self, *_: Any) -> "Answering":
        return self

    def fetchone(self) -> tuple[Any, ...]:
        return self.row


def test_missing_rights_are_named_with_the_statements_that_give_them() -> None:
    sql = SqlServer(server="s", database="app")
    row = (1, 0, *[1] * (len(checks.RIGHTS) - 1))
    (finding,) = checks._rights(Answering(row), sql, "s/app", "mxferry-app")  # type: ignore[arg-type]
    assert finding.code == "TARGET_NO_RIGHT"
    assert finding.message.endswith("found these missing: ALTER.")
    assert "CREATE USER [mxferry-app] FROM EXTERNAL PROVIDER;" in finding.remedy
    assert "app's managed identity" in grant(sql, None)


@pytest.mark.parametrize(
    ("edition", "row", "unseen"),
    [(3, (0, None), True), (8, (0, 0), True), (3, (0, 1), False), (3, (1, None), False), (5, (0, 0), False)],
)
def test_a_login_that_sees_no_other_session_does_not_pass_for_nobody_being_there(
    monkeypatch: pytest.MonkeyPatch, edition: int, row: tuple[int | None, ...], unseen: bool
) -> None:
    monkeypatch.setattr(catalogue, "engine", lambda _: Engine(edition, "16.0.1"))
    found = checks._unseen(Answering(row), "s/app")  # type: ignore[arg-type]
    assert [(one.code, one.severity) for one in found] == [("TARGET_SESSIONS_UNSEEN", "warning")] * unseen


def test_several_things_wrong_are_all_said_at_once(profile: TargetProfile, monkeypatch: pytest.MonkeyPatch) -> None:
    assert profile.sql is not None
    with connect(profile.sql) as connection:
        connection.execute("CREATE TABLE [dbo].[old] ([id] int NOT NULL)")
    monkeypatch.setattr(catalogue, "sessions", lambda _: [SessionGroup("Mendix Runtime", "app-vm", 3)])
    assert set(found(profile, "No_Such")) >= {"TARGET_NOT_EMPTY", "TARGET_IN_USE", "UNKNOWN_COLLATION"}


def test_the_sessions_query_leaves_ourselves_out(profile: TargetProfile) -> None:
    assert profile.sql is not None
    connection: pyodbc.Connection
    with connect(profile.sql) as connection:
        assert catalogue.sessions(connection) == []
