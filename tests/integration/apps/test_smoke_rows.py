"""Smoke checks on the target database: rows of a table or an entity, and whether a named user exists."""

from typing import Any

import psycopg
import pytest
from pydantic import SecretStr, ValidationError

from local.postgres import PostgresServer
from shared.request import SqlCheck
from shared.settings import SqlServer, TargetBlob, TargetPostgres, TargetProfile
from shared.smoke.database import check_rows
from shared.sqlserver.connection import connect

BLOB = TargetBlob(connection_string=SecretStr("UseDevelopmentStorage=true"), container="c")
TABLES = (
    "CREATE TABLE {0} (id int NOT NULL, entity_name varchar(255), table_name varchar(255))",
    "CREATE TABLE {1} (id int NOT NULL, name varchar(100))",
    "INSERT INTO {0} VALUES (1, 'System.User', 'system$user')",
    "INSERT INTO {1} VALUES (1, 'MxAdmin'), (2, 'ada')",
)


@pytest.fixture
def sqlserver_target(sql_server: Any) -> TargetProfile:
    values = {
        "server": f"{sql_server.host},{sql_server.port}", "database": sql_server.new_database(),
        "user": sql_server.user, "password": SecretStr(sql_server.password), "encrypt": "no",
    }  # fmt: skip
    made = TargetProfile(sql=SqlServer(**values), blob=BLOB)
    assert made.sql is not None
    with connect(made.sql) as connection:
        for statement in TABLES:
            connection.execute(statement.format("[dbo].[mendixsystem$entity]", "[dbo].[system$user]"))
    return made


@pytest.fixture
def postgres_target(postgres_server: PostgresServer, database: str) -> TargetProfile:
    with psycopg.connect(postgres_server.dsn(database), autocommit=True) as connection:
        for statement in TABLES:
            connection.execute(statement.format('"mendixsystem$entity"', '"system$user"').encode())
    own = TargetPostgres(
        host=postgres_server.host, port=postgres_server.port, user=postgres_server.user, database=database,
        password=SecretStr(postgres_server.password), sslmode="disable",
    )  # fmt: skip
    return TargetProfile(kind="postgres", postgres=own, blob=BLOB)


@pytest.fixture(params=["sqlserver_target", "postgres_target"])
def target(request: pytest.FixtureRequest) -> TargetProfile:
    """Either kind of target, with two users."""
    found: TargetProfile = request.getfixturevalue(request.param)
    return found


@pytest.mark.parametrize(
    ("check", "outcome", "detail"),
    [
        ({"table": "system$user", "at_least": 2}, "passed", "found 2 rows."),
        ({"table": "System.User", "at_least": 2}, "passed", "found 2 rows."),
        ({"table": "System.User", "at_least": 3}, "failed", "found 2 rows."),
        ({"table": "System.User", "at_most": 1}, "failed", "found 2 rows."),
        ({"table": "System.User", "column": "name", "equals": "MxAdmin", "at_least": 1}, "passed", "found 1 rows."),
        ({"table": "System.User", "column": "name", "equals": "nobody", "at_least": 1}, "failed", "found 0 rows."),
        ({"table": "system$user", "column": "id", "equals": "2", "at_least": 1}, "passed", "found 1 rows."),
        ({"table": "Sales.Order"}, "failed", "expected the entity Sales.Order in mendixsystem$entity"),
        ({"table": "sales$order"}, "failed", "sales$order"),
        ({"table": "system$user", "column": 'x"] OR 1=1 --', "equals": "1"}, "failed", "x"),
    ],
)
def test_rows_of_the_target_are_counted(
    target: TargetProfile, check: dict[str, Any], outcome: str, detail: str
) -> None:
    found = check_rows(SqlCheck.model_validate({"name": "users", **check}), target)
    assert (found.name, found.outcome) == ("smoke: users", outcome), found.detail
    assert detail in found.detail


def test_a_column_without_a_value_is_no_check() -> None:
    with pytest.raises(ValidationError, match="belong together"):
        SqlCheck.model_validate({"name": "users", "table": "system$user", "column": "name"})
