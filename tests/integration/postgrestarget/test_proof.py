"""The proof finds what is not as it was in the dump, and names it: table, key, column."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from local.postgres import PostgresServer
from shared.errors import Finding
from tests.fixtures import driving
from tests.integration.postgrestarget.conftest import BY_NAME, Stand, made_stand

CUSTOMER = '"shop$customer"'
CHANGES = {
    "one character": (
        f"UPDATE {CUSTOMER} SET notes = overlay(notes placing 'x' from 2) WHERE id = 19", "id 19: differs in notes"
    ),
    "one digit": (f"UPDATE {CUSTOMER} SET balance = balance + 0.00000001 WHERE id = 20", "id 20: differs in balance"),
    "one NULL": (f"UPDATE {CUSTOMER} SET name = NULL WHERE id = 21", "id 21: differs in name"),
    "an empty text for a NULL": (f"UPDATE {CUSTOMER} SET name = '' WHERE id = 22", "id 22: differs in name"),
    "one microsecond": (
        f"UPDATE {CUSTOMER} SET born = born + interval '1 microsecond' WHERE id = 23", "id 23: differs in born"
    ),
    "one microsecond of a moment": (
        f"UPDATE {CUSTOMER} SET seen = seen - interval '1 microsecond' WHERE id = 24", "id 24: differs in seen"
    ),
    "the last bit of a float": (f"UPDATE {CUSTOMER} SET ratio = 1.0000000000000002 WHERE id = 3", "id 3: differs in ratio"),
    "one byte": (f"UPDATE {CUSTOMER} SET photo = set_byte(photo, 3, 7) WHERE id = 25", "id 25: differs in photo"),
    "a row that lacks": (f"DELETE FROM {CUSTOMER} WHERE id = 2999", "id 2999: missing on the target"),
    "a row too many": (f"INSERT INTO {CUSTOMER} (id) VALUES (77777)", "id 77777: not expected on the target"),
}  # fmt: skip


@pytest.fixture(scope="module")
def restored(azurite: str, postgres_server: PostgresServer, shop_dump: bytes) -> Iterator[Stand]:
    """One restored target for all tests: each spoils it in a way of its own, and mends it again."""
    with made_stand(azurite, postgres_server) as stand:
        stand.give(shop_dump)
        stand.restore()
        stand.execute('ALTER TABLE "shop$order" DROP CONSTRAINT "frn_shop$order_customer"')
        yield stand


def rows_differ(stand: Stand, table: str) -> Finding:
    """Verify; the row contents must fail, and say so of this table alone."""
    answer = stand.verify()
    assert outcome(answer, "row contents") == "failed"
    found = [one for one in answer["findings"] if one["code"] == "ROWS_DIFFER"]
    assert [one["object"] for one in found] == [table]
    return Finding.model_validate(found[0])


def codes(answer: dict[str, Any]) -> set[tuple[str, str]]:
    """Code and object of the findings, that of the foreign key left out which the fixture dropped."""
    return {(one["code"], one["object"]) for one in answer["findings"] if one["code"] != "KEYS_MISSING"}


def outcome(answer: dict[str, Any], check: str) -> str:
    return next(one["outcome"] for one in answer["checks"] if one["name"] == check)


def finds_the_change(restored: Stand, what: str) -> None:
    """Change the target; verification must name the row, and nothing else."""
    statement, named = CHANGES[what]
    restored.execute(f"CREATE TABLE kept AS SELECT * FROM {CUSTOMER}")
    try:
        restored.execute(statement)
        finding = rows_differ(restored, "shop$customer")
        assert finding.examples == [named]
        assert (finding.severity, finding.count) == ("error", 1)
    finally:
        restored.execute(f"TRUNCATE {CUSTOMER}; INSERT INTO {CUSTOMER} SELECT * FROM kept; DROP TABLE kept")


def finds_the_doubled_row(restored: Stand) -> None:
    """Give the table without a key a row too many; verification must tell it by how often it is there."""
    restored.execute("INSERT INTO \"shop$log\" VALUES ('twice', NULL)")
    try:
        answer = restored.verify()
        assert codes(answer) == {("COUNTS_DIFFER", "shop$log"), ("ROWS_DIFFER", "shop$log")}
        (finding,) = [one for one in answer["findings"] if one["code"] == "ROWS_DIFFER"]
        assert finding["examples"][0].endswith("expected 2 time, found 3 times on the target")
    finally:
        restored.execute(
            'DELETE FROM "shop$log" WHERE ctid = (SELECT max(ctid) FROM "shop$log" WHERE line = \'twice\')'
        )


def passes_in_another_order(restored: Stand) -> None:
    """Give a table's rows another order; verification must pass, and say that it saw it."""
    restored.execute(f'CLUSTER {CUSTOMER} USING "idx_shop$customer_name"')
    answer = restored.verify()
    assert outcome(answer, "row contents") == "passed"
    assert "another order" in next(one["detail"] for one in answer["checks"] if one["name"] == "row contents")


def counted(activity: Callable[..., Any], calls: list[Any]) -> Callable[..., Any]:
    def run(context: object, payload: Any) -> Any:
        calls.append(payload)
        return activity(context, payload)

    return run


@pytest.mark.parametrize("what", CHANGES)
def test_a_change_of_the_target_is_found_and_named(restored: Stand, what: str) -> None:
    finds_the_change(restored, what)


@pytest.mark.usefixtures("in_the_smallest_steps")
@pytest.mark.parametrize("what", ["one digit", "a row that lacks"])
def test_a_table_that_takes_many_calls_is_compared_as_one_that_takes_one(
    restored: Stand, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    calls: list[Any] = []
    compare = driving.ACTIVITIES["verify_postgres_tables"]
    monkeypatch.setitem(driving.ACTIVITIES, "verify_postgres_tables", counted(compare, calls))
    finds_the_change(restored, what)
    passes_in_another_order(restored)
    assert len(calls) > 20, "2 in one step a table"


@pytest.mark.usefixtures("in_the_smallest_steps")
def test_calls_of_a_comparison_that_come_twice_at_once_find_the_same(
    restored: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driving, "ACTIVITIES", {name: twice(one) for name, one in BY_NAME.items()})
    finds_the_doubled_row(restored)


def twice(activity: Callable[..., Any]) -> Callable[..., Any]:
    def run(context: object, payload: object) -> Any:
        with ThreadPoolExecutor(2) as pool:
            return list(pool.map(lambda _: activity(context, payload), range(2)))[1]

    return run


def test_rows_without_a_key_are_found_by_their_number(restored: Stand) -> None:
    finds_the_doubled_row(restored)


def test_a_row_in_a_table_that_starts_empty_is_found(restored: Stand) -> None:
    restored.execute('INSERT INTO "system$session" (id) VALUES (1)')
    try:
        answer = restored.verify()
        assert outcome(answer, "row counts") == "failed"
        assert codes(answer) == {("COUNTS_DIFFER", "system$session")}
    finally:
        restored.execute('DELETE FROM "system$session"')


@pytest.mark.parametrize("spoilt", ["setval('\"shop$order_number_mxseq\"', 4710)", "nextval('\"shop$unused_mxseq\"')"])
def test_a_sequence_that_stands_elsewhere_is_found(restored: Stand, spoilt: str) -> None:
    restored.execute(f"SELECT {spoilt}")
    try:
        answer = restored.verify()
        assert outcome(answer, "sequences") == "failed"
        (finding,) = [one for one in answer["findings"] if one["code"] == "SEQUENCES_DIFFER"]
        assert spoilt.split('"')[1] in finding["examples"][0]
    finally:
        restored.execute(
            "SELECT setval('\"shop$order_number_mxseq\"', 4711), setval('\"shop$unused_mxseq\"', 3, false)"
        )


def test_an_index_that_lacks_is_found(restored: Stand) -> None:
    answer = restored.verify()
    (finding,) = [one for one in answer["findings"] if one["code"] == "KEYS_MISSING"]
    assert finding["examples"] == ["shop$order frn_shop$order_customer: not there"]


def test_a_table_that_lacks_is_named(restored: Stand) -> None:
    restored.execute('ALTER TABLE "shop$nothing" RENAME TO "shop$other"')
    try:
        finding = restored.refused("verify_postgres_tables", batch=0)
        assert (finding.code, finding.object) == ("TABLE_MISSING", "public.shop$nothing")
    finally:
        restored.execute('ALTER TABLE "shop$other" RENAME TO "shop$nothing"')


def test_rows_in_another_order_are_no_difference(restored: Stand) -> None:
    passes_in_another_order(restored)


def test_levels_that_were_not_asked_for_are_said_not_to_be_done(restored: Stand) -> None:
    before = restored.run
    restored.request(options={"verify": ["counts", "sample"]})
    try:
        found = {one["name"]: one for one in restored.verify()["checks"]}
    finally:
        restored.run = before
    assert found["row counts"]["outcome"] == "passed"
    assert found["row contents"]["outcome"] == "skipped"
    assert "Ask for `hash`" in found["sampled read-back"]["detail"]
