"""Target mode `runtime`: what the runtime has made on the target is fitted to the source, for the comparison.

The runtime makes its schema from the source's structure, copies the rows, and starts; a started app changes some tables
by itself. Those are left out of the comparison and listed; everything else must be equal. What object ids and
AutoNumbers depend on is looked at by itself, because the comparison leaves the `mendixsystem$*` tables out: the target
describes itself in them.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from shared.contracts import Check
from shared.databaseplan import PREFIX, DatabasePlan, PlannedTable
from shared.errors import Finding
from shared.mendix.existing import Existing, fit
from shared.mendix.metadata import Metadata, physical
from shared.mendix.sequences import AutoNumber
from shared.mendix.volatile import volatile_tables
from shared.sqlserver.connection import quote

USER, FILE = "System.User", "System.FileDocument"
ADMINISTRATOR = "the runtime sets this account's password when it starts"
SIZES = "the runtime fills in sizes that are not known yet, in the background"
OWN = "the target's description of itself; object ids and AutoNumbers are checked by themselves"
WORKED_ON = "an app that runs works on it"
ASKED = "the request says that the app changes it by itself"
DEFAULT_ADMINISTRATOR = "MxAdmin"
OBJECT_IDS, AUTO_NUMBERS, SELF_CHANGING = "object ids", "AutoNumbers", "what a started app changes"
HOW = {
    OBJECT_IDS: "Short ids and object counters of mendixsystem$entityidentifier were compared by the entities' GUIDs.",
    AUTO_NUMBERS: "The last number given out, and the largest in use, were compared with mendixsystem$sequence on the "
    "target.",
    SELF_CHANGING: "Tables, columns and rows that a started app changes by itself were left out of the comparison.",
}
"""By name of a check that this mode has beside the comparison of rows: how it is done."""


@dataclass(frozen=True)
class SelfChanging:
    """What a started app changes in this database beyond the tables that are known by name.

    `administrator` is the object id of the built-in administrator, if there is one; `open_sizes` says whether files have
    sizes that the runtime has yet to find out; `tables` are those the request names.
    """

    administrator: int | None = None
    open_sizes: bool = False
    tables: Sequence[str] = ()


@dataclass
class Adoption:
    """The plan of the comparison, what differs, and what is left out, with the reason."""

    plan: DatabasePlan
    findings: list[Finding]
    left_out: dict[str, str] = field(default_factory=dict)


def adopt(plan: DatabasePlan, source: Metadata, existing: Existing, changing: SelfChanging) -> Adoption:
    """Return the plan fitted by GUID to the runtime's schema, without what a started app changes by itself.

    `plan` is that of a settled database: no expressions, no predicates.
    """
    fitted, findings = fit(plan, source, existing)
    adoption = Adoption(fitted, list(_minded(findings)))
    reasons = _reasons(source, changing)
    tables = []
    for table in fitted.tables:
        reason = OWN if table.name.startswith(PREFIX) else reasons.get(table.source_name) or reasons.get(table.name)
        if reason is None:
            tables.append(_without_changing(adoption, source, changing, table))
        elif not table.name.startswith(PREFIX):
            adoption.left_out[table.name] = reason
    adoption.left_out[f"{PREFIX}*"] = OWN
    known = {name for table in fitted.tables for name in (table.name, table.source_name)}
    adoption.findings += [_unknown(name) for name in changing.tables if name not in known]
    notes = [*plan.notes, "The runtime has made the schema and copied the rows; they are compared here."]
    adoption.plan = fitted.model_copy(update={"mode": "runtime", "tables": tables, "notes": notes})
    return adoption


def left_out_check(adoption: Adoption) -> Check:
    """Return what was not compared as a check that was skipped."""
    return Check(
        name=SELF_CHANGING,
        outcome="skipped",
        how=HOW[SELF_CHANGING],
        detail="; ".join(f"{what}: {why}" for what, why in sorted(adoption.left_out.items())) + ".",
    )


def identities_check(source: Metadata, target: Metadata) -> Check:
    """Check that object ids keep their meaning: the short ids are the source's, and counters go on after its own."""
    there = {one.id: one for one in target.identifiers}
    known = [one for one in source.identifiers if one.id in target.entity_by_id]
    wrong = [
        source.entity_by_id[one.id].name
        for one in known
        if one.id in source.entity_by_id
        and (one.id not in there or there[one.id].short_id != one.short_id or _less(there[one.id], one.object_sequence))
    ]
    return Check(
        name=OBJECT_IDS,
        outcome="failed" if wrong else "passed",
        how=HOW[OBJECT_IDS],
        detail=f"{len(known)} entities.{_list_names(wrong)}",
    )


def sequences_check(numbers: Sequence[AutoNumber], target: Metadata) -> Check:
    """Check that every AutoNumber goes on where the source's was, or later."""
    there = {one.attribute_id: one.current_value for one in target.sequences}
    wrong = [
        one.about
        for one in numbers
        if one.sequence.attribute_id in target.attribute_by_id
        and (there.get(one.sequence.attribute_id) or 0) < one.current_value
    ]
    return Check(
        name=AUTO_NUMBERS,
        outcome="failed" if wrong else "passed",
        how=HOW[AUTO_NUMBERS],
        detail=f"{len(numbers)} AutoNumbers.{_list_names(wrong)}",
    )


def _less(there: object, counter: int | None) -> bool:
    return counter is not None and (getattr(there, "object_sequence", None) or 0) < counter


def _list_names(wrong: Sequence[str]) -> str:
    return f" Different: {', '.join(wrong[:10])}{' …' if len(wrong) > 10 else ''}." if wrong else ""


def _reasons(source: Metadata, changing: SelfChanging) -> dict[str, str]:
    """Return the source tables that are left out whole. Queued tasks are work that the app has begun to do."""
    found = dict.fromkeys(volatile_tables(source, "rehearsal"), WORKED_ON)
    return found | dict.fromkeys(changing.tables, ASKED)


def _without_changing(
    adoption: Adoption, source: Metadata, changing: SelfChanging, table: PlannedTable
) -> PlannedTable:
    entity = source.entity_by_table.get(table.source_name)
    if entity is not None and entity.name == FILE and changing.open_sizes:
        column = attribute_column(source, FILE, "Size")
        kept = [one for one in table.columns if one.source_name != column]
        adoption.left_out[f"{table.name}.{column}"] = SIZES
        return table.model_copy(update={"columns": kept})
    if entity is not None and entity.name == USER and changing.administrator is not None:
        name = next(one.name for one in table.columns if one.source_name == "id")
        adoption.left_out[f"{table.name}, the row of the built-in administrator"] = ADMINISTRATOR
        without = changing.administrator
        return table.model_copy(update={"where": f'"id" <> {without}', "target_where": f"{quote(name)} <> {without}"})
    return table


def attribute_column(source: Metadata, entity: str, attribute: str) -> str | None:
    """Return the physical column of an attribute, by names; None where the model has no such attribute."""
    ids = {one.id for one in source.entities if one.name == entity}
    found = (one.column for one in source.attributes if one.entity_id in ids and one.name.lower() == attribute.lower())
    column = next(found, None)
    return physical(column) if column is not None else None


def _minded(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Yield what differs as it matters here: the runtime has made this schema, so that its rows decide."""
    for finding in findings:
        if change := _MINDED.get(finding.code):
            yield change(finding)
        elif not finding.code.endswith("_ONLY_ON_TARGET"):  # a newer model has more, and the runtime counts by itself
            yield finding


def _unknown(table: str) -> Finding:
    return Finding(
        code="NOT_COMPARED_UNKNOWN", severity="warning", object=table,
        message="options.not_compared names it, but no table has this name.",
        remedy="Correct its spelling, or take it out of options.not_compared.",
    )  # fmt: skip


def _for_information(finding: Finding) -> Finding:
    return finding.model_copy(update={"severity": "info", "choices": [], "remedy": ""})


def _not_copied(finding: Finding) -> Finding:
    remedy = "The runtime has not brought it over: read the app's log, empty the target, and hand over again."
    return finding.model_copy(update={"choices": [], "remedy": remedy})


_MINDED: dict[str, Callable[[Finding], Finding]] = {
    "TYPE_DIFFERS": _for_information,
    "LENGTH_DIFFERS": _for_information,
    "NAME_DIFFERS": _for_information,
    "KEY_MISSING_ON_TARGET": _for_information,
    "ENTITY_MISSING_ON_TARGET": _not_copied,
    "ATTRIBUTE_MISSING_ON_TARGET": _not_copied,
}
