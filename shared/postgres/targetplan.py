"""What is made on a PostgreSQL target: decided from the dump's table of contents, kept in staging, told in the report.

Nothing is converted: the dump's own statements are executed as they stand, where `shared.snapshot.dumpsql` lets them
through. What is left aside is said by name.
"""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence

from pydantic import BaseModel, ConfigDict, Field

from shared.errors import Finding
from shared.mendix.dumped import Change
from shared.postgres.loading import copy_statement
from shared.postgres.sequences import SETVAL
from shared.snapshot.dump import Dump, Entry
from shared.snapshot.restoring import LEFT_ASIDE, POST_DATA, PRE_DATA, RestorePlan, TableData
from shared.snapshot.rowtext import RowChanges

PRIVILEGES = {"ACL", "DEFAULT ACL"}
EXTENSION = "EXTENSION"
BUILT_IN = {"plpgsql"}


class TargetTable(BaseModel):
    """A table whose rows are loaded: its place in the dump, and what arrives changed."""

    model_config = ConfigDict(extra="forbid")

    data: TableData
    changes: RowChanges = Field(default_factory=RowChanges)


class EmptyTable(BaseModel):
    """A table that is made and not filled."""

    model_config = ConfigDict(extra="forbid")

    data: TableData
    reason: str


class TargetPlan(BaseModel):
    """The plan of one run: batches of tables, largest first, and the tables that stay empty."""

    model_config = ConfigDict(extra="forbid")

    run: str
    encoding: str
    server_major: int = Field(description="Major version of the server that the dump was taken from.")
    batches: list[list[TargetTable]]
    empty: list[EmptyTable] = Field(default_factory=list)
    extensions: list[str] = Field(default_factory=list, description="Extensions that are made on the target.")

    @property
    def tables(self) -> Iterator[TargetTable]:
        """The tables that are loaded, in the order of their batches."""
        return (table for batch in self.batches for table in batch)

    @property
    def bytes(self) -> int:
        """Bytes of the tables' data in the dump, compressed as they are."""
        return sum(table.data.size for table in self.tables)


def plan_target(
    run: str, dump: Dump, restore: RestorePlan, changes: Mapping[str, Change], extensions: Sequence[str]
) -> TargetPlan:
    """Return the plan; `changes` are by table of schema public, `extensions` those that are to be made."""
    reasons = {name: change.empty for name, change in changes.items() if change.empty}
    batches = [
        [_table(table, changes) for table in batch if name_of(table) not in reasons] for batch in restore.batches
    ]
    empty = [
        EmptyTable(data=table, reason=reasons[name_of(table)])
        for batch in restore.batches
        for table in batch
        if name_of(table) in reasons
    ]
    return TargetPlan(
        run=run,
        encoding=restore.encoding,
        server_major=dump.server_major,
        batches=[batch for batch in batches if batch],
        empty=empty,
        extensions=list(extensions),
    )


def name_of(table: TableData) -> str:
    """Return a table's name as reports have it: without its schema where that is public."""
    return table.table if table.schema_name == "public" else table.label


def describe_changes(changes: RowChanges) -> str:
    """Say what of a table's rows arrives changed; empty when nothing does."""
    words = [f"rows with {column} {', '.join(values)} left out" for column, values in changes.left_out.items()]
    words += [f"{column} emptied: it {why}" for column, why in changes.emptied.items()]
    words += [f"{one.column} masked ({one.how})" for one in changes.masked]
    return "; ".join(words)


def extensions_of(dump: Dump) -> dict[str, list[str]]:
    """Return the extensions that the dump's database has, each with what of the dump cannot be without it."""
    kept = [entry for entry in dump.entries if entry.desc in PRE_DATA | POST_DATA]
    return {
        entry.tag: [one.label for one in kept if entry.id in one.dependencies]
        for entry in dump.entries
        if entry.desc == EXTENSION and entry.tag not in BUILT_IN
    }


def sequences_of(dump: Dump) -> dict[tuple[str, str], tuple[int, bool]]:
    """Return the values of the dump's sequences by (schema, name): last value, and whether it has been handed out."""
    found = {}
    for entry in dump.entries:
        value = SETVAL.match(entry.definition.strip()) if entry.desc == "SEQUENCE SET" else None
        if value is not None:
            found[entry.namespace, entry.tag] = (int(value["value"]), value["called"] == "true")
    return found


def not_carried(dump: Dump, extensions: Iterable[str]) -> list[Finding]:
    """Return what of the dump the target does not get: views, functions and the like, owners and privileges."""
    made = set(extensions) | BUILT_IN
    aside = [
        entry
        for entry in dump.entries
        if entry.desc in LEFT_ASIDE and not (entry.desc == EXTENSION and entry.tag in made)
    ]
    grants = [entry for entry in dump.entries if entry.desc in PRIVILEGES]
    found = []
    if aside:
        about, examples = f"{len(aside)} entries of the dump", [one.label for one in aside[:10]]
        message = (
            "expected tables, sequences, keys and indexes, which is what a Mendix app has; found more, which is not "
            "carried over."
        )
        remedy = "Make on the target by hand what the app needs of it, after the run and before the app starts."
        found.append(Finding.warning("NOT_CARRIED_OVER", about, message, remedy, count=len(aside), examples=examples))
    message = f"owners and {len(grants)} privileges of the source are not carried over: its roles are not here."
    found.append(Finding.info("OWNERS_LEFT_OUT", "owners and privileges", message))
    return found


def script(plan: TargetPlan, dump: Dump, *, drops: Sequence[str] = ()) -> Iterator[str]:
    """Yield what will be executed, as SQL for a person to read, in its order."""
    yield f"-- What run {plan.run} executes on the PostgreSQL target, in this order.\n"
    for name in drops:
        yield f"-- dropped first, as the request confirms: {name}\n"
    for name in plan.extensions:
        yield f'CREATE EXTENSION IF NOT EXISTS "{name}";\n'
    yield from _statements(dump.entries, PRE_DATA)
    yield "\n-- Rows, a large table in several transactions, several tables at a time\n"
    for table in sorted(plan.tables, key=lambda one: one.data.label):
        yield f"{copy_statement(table.data, emptied=True).as_string()};{f' -- {words}' if (words := describe_changes(table.changes)) else ''}\n"
    for one in sorted(plan.empty, key=lambda one: one.data.label):
        yield f"-- {one.data.label} stays empty: {one.reason}\n"
    yield "\n-- Sequences\n"
    yield from (f"{entry.definition.strip()}\n" for entry in dump.entries if entry.desc == "SEQUENCE SET")
    yield "\n-- Keys and indexes, then foreign keys and checks, several at a time\n"
    yield from _statements(dump.entries, POST_DATA - {"FK CONSTRAINT", "CHECK CONSTRAINT"})
    yield from _statements(dump.entries, {"FK CONSTRAINT", "CHECK CONSTRAINT"})
    yield "\nANALYZE;\n"


def _table(table: TableData, changes: Mapping[str, Change]) -> TargetTable:
    change = changes.get(name_of(table))
    rows = change.rows if change else RowChanges()
    return TargetTable(data=table, changes=rows)


def _statements(entries: Iterable[Entry], kinds: set[str]) -> Iterator[str]:
    for entry in entries:
        if entry.desc in kinds and not re.fullmatch(r"\s*", entry.definition):
            yield f"\n{entry.definition.strip()}\n"
