"""What the boundary of the activities makes of exceptions that no activity expected."""

import asyncio
import socket

import psycopg
import pyarrow as pa
import pyodbc
import pytest
from azure.core.exceptions import ClientAuthenticationError, ServiceRequestError
from azure.storage.blob import BlobServiceClient
from pydantic import BaseModel

from activities.boundary import activity, closing_activity
from shared.contracts import Findings, RunWork
from shared.errors import Refusal, TransientError
from tests.fixtures.appsettings import NO_POSTGRES, set_settings, staging_settings, target_settings
from tests.fixtures.runs import new_run


@pytest.fixture
def payload(azurite, container, monkeypatch):
    """A run's input, with staging and reports in Azurite."""
    name = container.container_name
    set_settings(monkeypatch, staging_settings(azurite, name), NO_POSTGRES, target_settings("TEST", azurite, name))
    return {"run": new_run().model_dump(mode="json")}


def raising(error, wrap=activity):
    @wrap
    def works(work: RunWork) -> Findings:
        if isinstance(error, Exception):
            raise error
        error()
        return Findings()

    return works


def refused(error, payload):
    return raising(error)(None, payload)["refused"]


def transient(error, payload, wrap=activity):
    with pytest.raises(TransientError) as raised:
        raising(error, wrap)(None, payload)
    return raised.value


def invalid():
    class Row(BaseModel):
        amount: int

    Row.model_validate({"amount": "bob@example.com"})


@pytest.mark.parametrize(
    "error",
    [
        TypeError("unsupported operand"),
        KeyError("table"),
        AttributeError("'NoneType' object has no attribute 'rows'"),
        AssertionError(),
        lambda: pa.array(["bob@example.com"]).cast(pa.int32()),
        invalid,
        psycopg.ProgrammingError("the query has 1 placeholder but 2 parameters were passed"),
    ],
)
def test_an_error_of_programming_is_refused_at_once_and_says_where_to_look(payload, error):
    found = refused(error, payload)
    assert (found["code"], found["object"]) == ("UNEXPECTED", "works")
    assert "tests/integration/test_unexpected_errors.py:" in found["message"]
    assert payload["run"]["id"] in found["remedy"]
    assert "bob@example.com" not in str(found)


def test_no_error_carries_more_than_some_pages_over_the_boundary(payload):
    long = "x" * 1_000_000
    found = refused(Refusal("NAME_ODD", long, f"expected a name, found {long}", long), payload)
    assert found["message"].startswith("expected a name, found xxx")
    assert all(len(found[part]) < 10_000 for part in ("object", "message", "remedy"))
    assert len(str(transient(TransientError("BUSY", long, long, long), payload))) < 20_000


def test_an_input_that_the_activity_does_not_know_is_an_error_of_programming_too(payload):
    found = raising(TypeError("never reached"))(None, payload | {"surprise": 1})["refused"]
    assert found["code"] == "UNEXPECTED"
    assert "surprise: extra_forbidden" in found["message"]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (ConnectionResetError(104, "Connection reset by peer"), "CONNECTION_FAILED"),
        (socket.gaierror(-2, "Name or service not known"), "CONNECTION_FAILED"),
        (psycopg.OperationalError("server closed the connection unexpectedly"), "POSTGRES_FAILED"),
        (pyodbc.OperationalError("08S01", "[08S01] Communication link failure (0) (SQLExecDirectW)"), "SQL_TRANSIENT"),
        (ServiceRequestError("Failed to resolve"), "AZURE_UNREACHABLE"),
    ],
)
def test_what_a_network_or_a_server_may_mend_is_repeated_and_has_a_remedy(payload, error, code):
    for _ in range(5):
        found = transient(error, payload)
        assert (found.code, found.remedy[-1]) == (code, ".")


def test_the_error_of_a_task_group_is_that_of_its_leaves(payload):
    def together():
        async def fails(error):
            raise error

        async def both():
            async with asyncio.TaskGroup() as group:
                group.create_task(fails(ConnectionError("gone")))
                group.create_task(fails(Refusal("BLOB_GONE", "blob", "expected it, found none.", "Look.")))

        asyncio.run(both())

    assert refused(together, payload)["code"] == "BLOB_GONE"
    gone = ExceptionGroup("two", [ConnectionError("gone"), ExceptionGroup("one", [TimeoutError("late")])])
    assert transient(gone, payload).code == "CONNECTION_FAILED"


def test_a_missing_right_on_storage_is_refused_with_the_role_and_without_the_addresss_secret(payload, azurite):
    key = azurite.partition("AccountKey=")[2].partition(";")[0]

    def denied():
        with BlobServiceClient.from_connection_string(azurite.replace(key, "AAAA")) as service:
            service.get_container_client("backups").upload_blob("y", b"z")

    found = refused(denied, payload)
    assert found["code"] == "AZURE_DENIED"
    assert "status 403" in found["message"]
    assert "/backups/y" in found["message"]
    assert "role" in found["remedy"]


def test_an_identity_that_could_not_be_asked_is_worth_another_try(payload):
    assert (
        transient(ClientAuthenticationError("no answer from the identity endpoint"), payload).code
        == "AZURE_UNREACHABLE"
    )


def test_what_storage_does_not_take_is_tried_three_times(payload, container):
    def gone():
        container.get_blob_client("nothing").download_blob().readall()

    assert [transient(gone, payload).code for _ in range(2)] == ["AZURE_REFUSED"] * 2
    assert "404 BlobNotFound" in refused(gone, payload)["message"]


def test_a_statement_that_timed_out_is_tried_twice_and_then_refused_with_a_remedy(payload):
    slow = pyodbc.OperationalError(
        "HYT00", "[HYT00] [Microsoft][ODBC Driver 18 for SQL Server]Query timeout expired (0) (X)"
    )
    assert transient(slow, payload).code == "SQL_TIMEOUT"
    found = refused(slow, payload)
    assert found["code"] == "SQL_TIMEOUT"
    assert found["message"].endswith("It was tried 2 times.")
    assert "scale the target up" in found["remedy"]


def test_a_scan_that_postgresql_ends_at_its_time_out_is_tried_twice_and_then_refused_with_a_remedy(
    payload, database, postgres_server
):
    def slow():
        with psycopg.connect(postgres_server.dsn(database), options="-c statement_timeout=50ms") as connection:
            connection.execute("SELECT pg_sleep(60)")

    assert transient(slow, payload).code == "POSTGRES_TIMEOUT"
    found = refused(slow, payload)
    assert found["code"] == "POSTGRES_TIMEOUT"
    assert found["message"].endswith("It was tried 2 times.")
    assert "more cores" in found["remedy"]


def test_another_input_has_its_own_attempts(payload):
    slow = pyodbc.OperationalError("HYT00", "[HYT00] Query timeout expired (0) (X)")
    other = {"run": payload["run"] | {"asked_by": "kim"}}
    assert transient(slow, payload).code == "SQL_TIMEOUT"
    assert transient(slow, other).code == "SQL_TIMEOUT"


def test_each_of_many_looks_with_one_input_has_its_own_attempts(payload):
    slow = pyodbc.OperationalError("HYT00", "[HYT00] Query timeout expired (0) (X)")
    for look in range(4):
        assert transient(slow, payload | {"look": look}).code == "SQL_TIMEOUT"
    assert refused(slow, payload | {"look": 3})["code"] == "SQL_TIMEOUT"


def test_what_nobody_knows_is_tried_three_times_and_then_refused(payload):
    strange = RuntimeError("strange")
    for _ in range(2):
        assert transient(strange, payload).code == "UNEXPECTED"
    assert refused(strange, payload)["code"] == "UNEXPECTED"


def test_an_activity_that_closes_a_run_leaves_nothing_in_staging_for_its_attempts(payload, container):
    for _ in range(4):
        assert transient(RuntimeError("strange"), payload, closing_activity).code == "UNEXPECTED"
    assert not list(container.list_blob_names(name_starts_with=f"runs/{payload['run']['id']}/attempts/"))


def test_a_rows_values_stay_out_of_what_crosses_the_boundary_and_out_of_the_log(
    payload, database, postgres_server, caplog
):
    somebody = "bob@example.com"

    def violate():
        with psycopg.connect(postgres_server.dsn(database)) as connection:
            connection.execute("CREATE TABLE people (email text CONSTRAINT one_each PRIMARY KEY, age int)")
            for age in (1, 2):
                connection.execute("INSERT INTO people VALUES (%s, %s)", (somebody, age))

    found = transient(violate, payload)
    assert "UniqueViolation (23505) in constraint one_each" in found.message
    assert somebody not in str(found)
    assert somebody not in caplog.text
    assert "in violate" in caplog.text, "the log has the frames"


def test_a_statement_that_postgresql_does_not_understand_is_refused_at_once(payload, database, postgres_server):
    def wrong():
        with psycopg.connect(postgres_server.dsn(database)) as connection:
            connection.execute("SELECT nothing FROM nowhere")

    found = refused(wrong, payload)
    assert found["code"] == "POSTGRES_REFUSED"
    assert 'UndefinedTable (42P01): relation "nowhere" does not exist' in found["message"]
