"""The table of contents of a dump that nobody's pg_dump has written."""

import io
import struct
from dataclasses import replace

import pytest

from shared.errors import Refusal
from shared.snapshot import dump
from shared.snapshot.dump import Dump, Entry, read_dump
from shared.snapshot.restoring import Contents, contents_of, plan_of


def integer(value: int) -> bytes:
    return struct.pack("<BI", value < 0, abs(value))


def text(value: str | None) -> bytes:
    return integer(-1) if value is None else integer(len(value.encode())) + value.encode()


def head(entries: int) -> bytes:
    """The header of a format 1.14 dump, up to the number of its entries."""
    version = b"PGDMP" + bytes((1, 14, 0, 4, 8, 1)) + integer(0)
    return version + integer(0) * 7 + text("app") + text("15.8") * 2 + integer(entries)


def entry(number: int, *dependencies: str) -> bytes:
    names = text("0") * 2 + text("customer") + text("TABLE") + integer(2) + text("CREATE TABLE") + text("DROP TABLE")
    rest = text("") + text("public") + text("") + text("heap") + text("me") + text("false")
    return (
        integer(number)
        + integer(0)
        + names
        + rest
        + b"".join(map(text, dependencies))
        + text(None)
        + bytes((3,))
        + bytes(8)
    )


def test_contents_up_to_the_limits_are_read_and_larger_ones_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = head(3) + b"".join(map(entry, range(3)))
    monkeypatch.setattr(dump, "MAX_ENTRIES", 3)
    monkeypatch.setattr(dump, "MAX_TOC_BYTES", len(whole))
    assert len(read_dump(io.BytesIO(whole)).entries) == 3
    for limit, value in (("MAX_ENTRIES", 2), ("MAX_TOC_BYTES", len(whole) - 1)):
        with monkeypatch.context() as one:
            one.setattr(dump, limit, value)
            with pytest.raises(Refusal, match="DUMP_TOO_LARGE"):
                read_dump(io.BytesIO(whole))


def test_the_contents_are_read() -> None:
    [one] = read_dump(io.BytesIO(head(1) + entry(7, "3", "2147483647"))).entries
    assert (one.id, one.label, one.dependencies) == (7, "TABLE public.customer", (3, 2147483647))


def test_what_a_dump_calls_its_entries_and_its_server_is_cut_where_it_is_shown() -> None:
    named = replace(read_dump(io.BytesIO(head(1) + entry(7))).entries[0], tag="a." * 300_000, desc="RELIGION")
    with pytest.raises(Refusal, match=r"RELIGION public\.a\.a") as caught:
        contents_of(Dump((1, 14), "none", "15", "15", (named,), 0))
    assert len(str(caught.value)) < 1_000
    told = read_dump(io.BytesIO(head(0).replace(text("15.8") * 2, text("15." + "8" * 300_000) * 2)))
    assert (len(told.server_version), len(told.dump_version), told.server_major) == (200, 200, 15)


def listed(*entries: Entry) -> Contents:
    return contents_of(Dump((1, 14), "none", "15", "15", entries, 0))


def table(name: str, number: int = 1) -> Entry:
    return Entry(number, name, "TABLE", "public", f"CREATE TABLE public.{name} (\n);\n", "", (), False, None)


def rows(name: str, number: int = 2) -> Entry:
    return Entry(number, name, "TABLE DATA", "public", "", f"COPY public.{name}  FROM stdin;\n", (1,), True, None)


def test_contents_that_would_restore_a_table_short_are_refused() -> None:
    assert [one.label for one in listed(table("a"), rows("a")).tables] == ["public.a"]
    for entries, said in (
        ((table("a"), rows("a"), rows("a", 3)), "TABLE DATA public.a twice"),
        ((table("a"), table("b", 3), rows("a"), rows("b")), "entry 2 twice"),
        ((table("a"), replace(rows("a"), has_data=False)), "TABLE DATA public.a without data"),
    ):
        with pytest.raises(Refusal, match=f"DUMP_UNREADABLE.*{said}"):
            listed(*entries)


def test_a_dump_without_rows_has_an_empty_plan() -> None:
    assert plan_of(listed(table("a")), 1000, []).batches == []


@pytest.mark.parametrize("dependency", ["", "x", "-1", "\u00b2", "9" * 5000])
def test_a_dependency_that_is_no_number_of_an_entry_is_refused(dependency: str) -> None:
    with pytest.raises(Refusal, match=r"DUMP_UNREADABLE.*a dependency"):
        read_dump(io.BytesIO(head(1) + entry(7, dependency)))
