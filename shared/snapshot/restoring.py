"""What of a dump is restored, what is left aside, and what stops the run before any data flows.

A migration reads tables and sequences. Keys, indexes and foreign keys are not built while rows are loaded, and in the
temporary database only where somebody needs them to read; their statements are kept, for the plan of the target too.
Owners, privileges and extensions do not matter to a database that lives for one run. Whatever else is in a dump is
refused by its name.
"""

import re
from collections.abc import Iterable
from itertools import pairwise

from pydantic import BaseModel, ConfigDict, Field

from shared.errors import Refusal
from shared.snapshot import dumpsql
from shared.snapshot.dump import Dump, Entry, unreadable
from shared.snapshot.dumpdata import large_objects
from shared.snapshot.names import cut

SETTINGS = {"ENCODING", "STDSTRINGS", "SEARCHPATH"}
PRE_DATA = {"SCHEMA", "TYPE", "DOMAIN", "TABLE", "SEQUENCE", "SEQUENCE OWNED BY", "DEFAULT"}
DATA = {"TABLE DATA", "SEQUENCE SET"}
POST_DATA = {"CONSTRAINT", "FK CONSTRAINT", "CHECK CONSTRAINT", "INDEX"}
LARGE_OBJECTS = {"BLOB", "BLOBS", "BLOB METADATA", "BLOB COMMENTS"}
WITHOUT_MEANING = {
    "ACL",
    "COMMENT",
    "DATABASE",
    "DATABASE PROPERTIES",
    "DEFAULT ACL",
    "SECURITY LABEL",
    "STATISTICS DATA",
}
LEFT_ASIDE = {
    "AGGREGATE",
    "EVENT TRIGGER",
    "EXTENSION",
    "FUNCTION",
    "MATERIALIZED VIEW",
    "MATERIALIZED VIEW DATA",
    "POLICY",
    "PROCEDURE",
    "PUBLICATION",
    "PUBLICATION TABLE",
    "PUBLICATION TABLES IN SCHEMA",
    "ROW SECURITY",
    "RULE",
    "STATISTICS",
    "SUBSCRIPTION",
    "TRIGGER",
    "VIEW",
}
ENCODING = re.compile(r"SET client_encoding = '([A-Za-z0-9_]+)'")

BATCH_BYTES = 8 * 1024 * 1024  # bytes in the dump of small tables that are loaded by one activity
TABLES_OF_BATCH = 50
MOST_BATCHES = 150


class TableData(BaseModel):
    """The rows of one table in the dump. `offset` and `size` are in bytes of the dump; unknown until located.

    `columns` are those of its text, in order; a table without columns has none.
    """

    model_config = ConfigDict(extra="forbid")

    entry: int
    schema_name: str
    table: str
    columns: list[str]
    offset: int | None
    size: int = 0

    @property
    def label(self) -> str:
        """Return the table as errors and reports name it."""
        return cut(f"{self.schema_name}.{self.table}")


class Contents(BaseModel):
    """What the table of contents says about data; kept in staging so that activities need not read it again."""

    model_config = ConfigDict(extra="forbid")

    encoding: str
    data_offset: int
    tables: list[TableData]

    @property
    def located(self) -> bool:
        """Return whether the place of every table's data is known."""
        return all(table.offset is not None for table in self.tables)


class RestorePlan(BaseModel):
    """How the tables are loaded: batches of one large or several small tables, largest first."""

    model_config = ConfigDict(extra="forbid")

    encoding: str
    batches: list[list[TableData]]
    skipped: list[str] = Field(default_factory=list)


def contents_of(dump: Dump) -> Contents:
    """Return the tables of the dump. Raises `Refusal` for everything a conversion cannot carry over, by name."""
    _refuse_unknown(dump.entries)
    _refuse_repeated(dump.entries)
    _refuse_foreign(dump)
    _refuse_without_table(dump)
    encoding = "UTF8"
    tables = []
    for entry in dump.entries:
        if entry.desc == "ENCODING" and (found := ENCODING.search(entry.definition)):
            encoding = found[1]
        if entry.desc == "TABLE DATA":
            tables.append(_table(entry))
    return Contents(encoding=encoding, data_offset=dump.data_offset, tables=tables)


def skipped_of(dump: Dump) -> list[str]:
    """Return what the dump holds beside tables and sequences, and the temporary database does not get."""
    return [entry.label for entry in dump.entries if entry.desc in LEFT_ASIDE]


def post_data_of(dump: Dump) -> list[tuple[Entry, Entry]]:
    """Return the keys, indexes and checks of the dump's tables, each with its table; those of a view are left aside with it.

    Raises `Refusal` DUMP_UNREADABLE when an entry does not say which table it belongs to.
    """
    tables = {entry.id: entry for entry in dump.entries if entry.desc == "TABLE"}
    aside = {entry.id for entry in dump.entries if entry.desc in LEFT_ASIDE}
    return [
        (entry, _table_of(entry, [tables[one] for one in entry.dependencies if one in tables]))
        for entry in dump.entries
        if entry.desc in POST_DATA and (entry.desc != "INDEX" or aside.isdisjoint(entry.dependencies))
    ]


def _table_of(entry: Entry, candidates: list[Entry]) -> Entry:
    """Return the table of a post-data entry; a constraint's tag begins with it, a foreign key depends on two tables."""
    named = [one for one in candidates if entry.desc == "INDEX" or entry.tag.startswith(f"{one.tag} ")]
    if not named:
        raise unreadable(f"no table of {entry.label}")
    return max(named, key=lambda one: len(one.tag))


def plan_of(contents: Contents, dump_size: int, skipped: list[str]) -> RestorePlan:
    """Return the plan for located tables: largest first, so that the last to finish is a small one."""
    starts = sorted(table.offset or 0 for table in contents.tables)
    ends = dict(pairwise([*starts, dump_size]))
    sized = [
        table.model_copy(update={"size": ends[table.offset or 0] - (table.offset or 0)}) for table in contents.tables
    ]
    sized.sort(key=lambda table: table.size, reverse=True)
    full = max(BATCH_BYTES, sum(table.size for table in sized) // MOST_BATCHES)
    batches: list[list[TableData]] = []
    room = 0
    for table in sized:
        if not batches or table.size > room or len(batches[-1]) >= TABLES_OF_BATCH:
            batches.append([])
            room = full
        batches[-1].append(table)
        room -= table.size
    return RestorePlan(encoding=contents.encoding, batches=batches, skipped=skipped[:100])


def _table(entry: Entry) -> TableData:
    if not entry.copy.startswith("COPY "):
        raise Refusal(
            "DUMP_NOT_COPY",
            entry.label,
            f"expected a COPY statement for its rows, found {entry.copy[:80]!r}.",
            "Make the dump without `--inserts` and `--column-inserts`.",
        )
    return TableData(
        entry=entry.id,
        schema_name=entry.namespace,
        table=entry.tag,
        columns=dumpsql.copied_columns(entry),
        offset=entry.offset,
    )


def tables_of(dump: Dump) -> set[dumpsql.Name]:
    """Return schema and name of every table of the dump."""
    return {(entry.namespace, entry.tag) for entry in dump.entries if entry.desc == "TABLE"}


def _refuse_foreign(dump: Dump) -> None:
    """Refuse SQL that pg_dump would not have written, before any of it is executed."""
    tables = tables_of(dump)
    for entry in dump.entries:
        if entry.desc in PRE_DATA | DATA:
            dumpsql.refuse_reserved(entry)
        if entry.desc in PRE_DATA - {"SCHEMA"}:
            dumpsql.definition(entry, tables)
    for entry, table in post_data_of(dump):
        dumpsql.definition(entry, {(table.namespace, table.tag)})


def _refuse_without_table(dump: Dump) -> None:
    """Refuse rows of a table that the dump does not make: there would be nothing to load them into."""
    tables = tables_of(dump)
    rows = [one for one in dump.entries if one.desc == "TABLE DATA"]
    without = [one.label for one in rows if (one.namespace, one.tag) not in tables]
    if without:
        raise Refusal(
            "DUMP_TABLE_MISSING",
            without[0],
            f"expected the dump to make every table that it has rows of, found {len(without)} that it does not make: "
            f"{', '.join(without[:10])}{' …' if len(without) > 10 else ''}.",
            "Make the dump without `--data-only`; drop an extension that keeps rows of its own in a copy of the source "
            "database and make the backup from that copy.",
        )


def _refuse_repeated(entries: Iterable[Entry]) -> None:
    """Refuse what would restore a table short: an id twice, the rows of a table twice, rows that are said not to be there.

    pg_dump writes one entry with data for each table, and none for a table whose rows it leaves out.
    """
    ids: set[int] = set()
    filled: set[dumpsql.Name] = set()
    for entry in entries:
        if entry.id in ids:
            raise unreadable(f"entry {entry.id} twice ({entry.label})")
        ids.add(entry.id)
        if entry.desc != "TABLE DATA":
            continue
        if (entry.namespace, entry.tag) in filled:
            raise unreadable(f"{entry.label} twice")
        if not entry.has_data:
            raise unreadable(f"{entry.label} without data")
        filled.add((entry.namespace, entry.tag))


def _refuse_unknown(entries: Iterable[Entry]) -> None:
    known = SETTINGS | PRE_DATA | DATA | POST_DATA | WITHOUT_MEANING | LEFT_ASIDE
    strange = []
    for entry in entries:
        if entry.desc in LARGE_OBJECTS:
            raise large_objects(entry.label.strip())
        partitioned = entry.desc == "TABLE" and re.search(r"\)\s*PARTITION BY ", entry.definition)
        if entry.desc not in known or partitioned:
            strange.append(f"{entry.label} (partitioned)" if partitioned else entry.label)
    if strange:
        raise Refusal(
            "DUMP_UNKNOWN_ENTRY",
            strange[0],
            f"expected the tables and sequences of a Mendix app, found {len(strange)} other entries: "
            f"{', '.join(strange[:10])}{' …' if len(strange) > 10 else ''}.",
            "Remove them from a copy of the source database and make the backup from that copy.",
        )
