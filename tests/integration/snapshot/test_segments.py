"""A table in many segments: exactly once under death and double delivery, an error at once, and memory bounded."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from pydantic import SecretStr

from local.postgres import PostgresServer
from orchestrators import calling
from orchestrators.restore import restore_database
from orchestrators.snapshot import take_snapshot
from shared import budget, runs
from shared.budget import Budget
from shared.contracts import Said
from shared.copying import batches
from shared.errors import MxferryError, Refusal, TransientError
from shared.postgres import loading, locks, temporary
from shared.postgres.connection import database_name
from shared.postgres.loading import Destination, TableLoaded, load_table
from shared.postgres.temporary import OUR_TABLES
from shared.settings import Postgres
from shared.snapshot import dumpdata
from shared.snapshot.restoring import TableData
from tests.fixtures import driving
from tests.fixtures.dumps.reading import FOLDER, content_of
from tests.integration.snapshot.conftest import Stand

TABLE = TableData(entry=7, schema_name="public", table="t", columns=["id", "name"], offset=0)
PIECES = [b"".join(b"%d\tname %d\n" % (n, n) for n in range(at, at + 100)) for at in range(0, 1_000, 100)]
"""Ten pieces of a hundred rows; they are handed out cut at other places than rows end."""
WHOLE = b"".join(PIECES)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A budget of no seconds is spent at once, however long the way was: a segment is one piece."""
    monkeypatch.setattr(budget, "PAID_BACK", 0)


@pytest.fixture
def connection(postgres_server: PostgresServer, database: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(postgres_server.dsn(database), autocommit=True) as found:
        found.execute(OUR_TABLES)
        found.execute("CREATE TABLE public.t (id int, name text)")
        yield found


@pytest.fixture
def into(postgres_server: PostgresServer, database: str, connection: psycopg.Connection[Any]) -> Destination:
    server = Postgres(
        host=postgres_server.host, port=postgres_server.port, user=postgres_server.user,
        password=SecretStr(postgres_server.password), database=database, sslmode="disable",
    )  # fmt: skip
    return Destination(server, database, "UTF8")


def text(size: int = 1_003) -> Iterator[bytes]:
    return (WHOLE[at : at + size] for at in range(0, len(WHOLE), size))


def ids(connection: psycopg.Connection[Any]) -> list[int]:
    return [one for (one,) in connection.execute("SELECT id FROM public.t ORDER BY ctid").fetchall()]


def noted(connection: psycopg.Connection[Any]) -> TableLoaded:
    row = connection.execute("SELECT rows, rows_read, text_bytes, finished FROM mxferry.loaded").fetchone()
    return TableLoaded(*row) if row else TableLoaded()


def segment(into: Destination, pieces: Iterator[bytes] | None = None) -> TableLoaded:
    return load_table(into, TABLE, text() if pieces is None else pieces, budget=Budget(0))


def test_every_segment_adds_whole_rows_and_notes_how_far_the_table_is(
    into: Destination, connection: psycopg.Connection[Any]
) -> None:
    before = TableLoaded()
    for _ in range(100):
        now = segment(into)
        assert now == noted(connection)
        assert ids(connection) == list(range(now.rows))
        assert WHOLE[: now.text_bytes].count(b"\n") == now.rows == now.rows_read
        if now.finished:
            break
        assert now.rows > before.rows, "every call must bring the table on"
        before = now
    assert now == TableLoaded(1_000, 1_000, len(WHOLE), finished=True)
    assert segment(into, iter(())) == now, "a table that is in is not read again"


def test_only_the_first_segment_empties_the_table_and_freezes_its_rows(
    into: Destination, connection: psycopg.Connection[Any]
) -> None:
    connection.execute("CREATE EXTENSION pageinspect")
    connection.execute("INSERT INTO public.t VALUES (-1, 'of a dead delivery')")
    first = segment(into)
    segment(into)
    frozen = """
        SELECT count(*) FILTER (WHERE t_infomask & 768 = 768), count(*) FROM heap_page_items(get_raw_page('public.t', 0))
        WHERE lp_flags = 1
    """
    found = connection.execute(frozen).fetchone()
    assert found
    assert found[0] == first.rows < found[1]
    assert -1 not in ids(connection)


def test_a_session_killed_in_a_segment_costs_that_segment_only(
    into: Destination, connection: psycopg.Connection[Any]
) -> None:
    segment(into)
    second = segment(into)

    def deadly() -> Iterator[bytes]:
        for number, piece in enumerate(text()):
            if number == 4:
                connection.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'mxferry restore'"
                )
            yield piece

    with pytest.raises((psycopg.Error, MxferryError)):
        load_table(into, TABLE, deadly())
    assert noted(connection) == second
    assert ids(connection) == list(range(second.rows))
    assert load_table(into, TABLE, text()).finished
    assert ids(connection) == list(range(1_000))


def test_a_process_that_dies_between_two_segments_leaves_what_the_note_says(
    into: Destination, connection: psycopg.Connection[Any]
) -> None:
    def dies() -> Iterator[bytes]:
        yield from list(text())[:3]
        raise SystemExit("killed here")

    segment(into)
    before = noted(connection)
    with pytest.raises(SystemExit):
        load_table(into, TABLE, dies())
    assert noted(connection) == before
    while not segment(into).finished:
        pass
    assert ids(connection) == list(range(1_000))


def test_deliveries_at_once_load_every_row_once(into: Destination, connection: psycopg.Connection[Any]) -> None:
    def until_finished(_: int) -> None:
        while not segment(into).finished:
            pass

    with ThreadPoolExecutor(3) as pool:
        list(pool.map(until_finished, range(3)))
    assert ids(connection) == list(range(1_000))
    assert noted(connection) == TableLoaded(1_000, 1_000, len(WHOLE), finished=True)


def test_a_delivery_that_finds_another_at_work_waits_and_is_told_to_try_again(
    into: Destination, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(locks, "TABLE", replace(locks.TABLE, wait="50ms"))
    loads, goes_on = threading.Event(), threading.Event()

    def frozen() -> Iterator[bytes]:
        for piece in text():
            loads.set()
            goes_on.wait(60)
            yield piece

    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(load_table, into, TABLE, frozen())
        assert loads.wait(60)
        with pytest.raises(TransientError) as caught:
            segment(into)
        goes_on.set()
        assert first.result().finished
    assert caught.value.code == "TABLE_BUSY"
    assert ids(connection) == list(range(1_000))


def test_a_refused_row_is_told_before_the_rest_of_the_table_is_sent(
    into: Destination, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "COPY_BYTES", 4_000)
    sent = 0

    def endless() -> Iterator[bytes]:
        nonlocal sent
        yield PIECES[0]
        yield b"no number\tx\n"
        for number in range(10_000):
            sent += 1
            yield PIECES[number % 10]

    with pytest.raises(Refusal) as caught:
        load_table(into, TABLE, endless())
    assert caught.value.code == "DUMP_ROW_REFUSED"
    assert "line 101, column id" in caught.value.message
    assert sent < 10
    assert ids(connection) == []
    with pytest.raises(Refusal) as caught:
        load_table(into, TABLE, iter([*PIECES[:5], b"no number\tx\n"]))
    assert "counted after" in caught.value.message


def test_a_notice_does_not_end_a_load(into: Destination, connection: psycopg.Connection[Any]) -> None:
    connection.execute("""
        CREATE FUNCTION talks() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE WARNING 'a row'; RETURN NEW; END $$;
        CREATE TRIGGER talks BEFORE INSERT ON public.t FOR EACH ROW EXECUTE FUNCTION talks();
    """)
    assert load_table(into, TABLE, text()).rows == 1_000
    assert ids(connection) == list(range(1_000))


def test_a_load_that_somebody_cancels_is_tried_again(
    into: Destination, connection: psycopg.Connection[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(loading, "COPY_BYTES", 2_000)

    def canceled() -> Iterator[bytes]:
        for piece in text():
            connection.execute(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
                "WHERE application_name = 'mxferry restore' AND query LIKE 'COPY%'"
            )
            yield piece

    with pytest.raises(TransientError) as caught:
        load_table(into, TABLE, canceled())
    assert caught.value.code == "LOAD_CANCELED"
    assert noted(connection) == TableLoaded()


@pytest.mark.parametrize("name", ["16-none", "16-gzip", "18-lz4", "18-zstd-piped"])
def test_a_dump_restored_in_the_smallest_segments_is_the_same_database(
    stand: Stand, postgres_server: PostgresServer, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(temporary, "_refuse_older", lambda *_: None)  # of 18, on the wheel's 17: its rows are the same
    monkeypatch.setattr(batches, "SECONDS", 0)
    monkeypatch.setattr(dumpdata, "TEXT_PIECE", 20_000)
    stand.give((FOLDER / f"{name}.dump").read_bytes())
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    calls: list[tuple[str, Any]] = []
    stand.statuses.clear()
    restored = driving.drive(restore_database, work, stand.statuses, calls)
    assert restored["rows"] == 400 + 400 + 3 + 5
    with psycopg.connect(postgres_server.dsn(database_name(stand.run.id)), autocommit=True) as connection:
        assert content_of(connection) == (FOLDER / "rows.txt").read_bytes()
    steps = [payload["step"] for activity, payload in calls if activity == "load_tables" and "step" in payload]
    assert max(steps) >= 3, "the batch must have been called again for its rest"
    done = [one["done"]["bytes"] for one in stand.statuses if one["note"] == "loading tables"]
    assert done == sorted(done)
    assert len(done) > 3
    assert done[-1] == stand.statuses[-1]["total"]["bytes"]


def test_an_abort_is_seen_between_two_segments_of_a_table(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SECONDS", 0)
    monkeypatch.setattr(dumpdata, "TEXT_PIECE", 20_000)
    stand.give((FOLDER / "16-gzip.dump").read_bytes())
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    load = driving.ACTIVITIES["load_tables"]

    def aborted_meanwhile(context: object, payload: Any) -> Any:
        answer = load(context, payload)
        runs.ask_to_abort(stand.run.id, Said(by="ann"))
        return answer

    monkeypatch.setitem(driving.ACTIVITIES, "load_tables", aborted_meanwhile)
    code, _, _ = stand.refusal(restore_database, work)
    assert code == "ABORTED"


def test_what_each_call_brought_adds_up_to_what_is_done(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SECONDS", 0)
    monkeypatch.setattr(dumpdata, "TEXT_PIECE", 20_000)
    stand.give((FOLDER / "16-gzip.dump").read_bytes())
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    load, answers = driving.ACTIVITIES["load_tables"], []

    def kept(context: object, payload: Any) -> Any:
        answers.append(load(context, payload))
        return answers[-1]

    monkeypatch.setitem(driving.ACTIVITIES, "load_tables", kept)
    restored = stand.drive(restore_database, work)
    assert len(answers) > 3
    assert sum(one["rows"] for one in answers) == answers[-1]["done"]["rows"] == restored["rows"]
    assert all(one["bytes"] > 0 for one in answers if one["rows"])


def test_a_batch_that_never_ends_is_given_up_with_a_finding(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "SECONDS", 0)
    monkeypatch.setattr(dumpdata, "TEXT_PIECE", 20_000)
    monkeypatch.setattr(calling, "MOST_STEPS", 2)
    stand.give((FOLDER / "16-gzip.dump").read_bytes())
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    code, about, _ = stand.refusal(restore_database, work)
    assert (code, about) == ("NEVER_FINISHED", "load_tables")
