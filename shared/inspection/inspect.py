"""Looks at groups of tables: every check of the data preflight, and the remedies the request chose."""

from collections.abc import Iterable, Iterator

from shared.databaseplan import DatabasePlan, PlannedTable
from shared.errors import Finding
from shared.inspection.applyremedies import apply_remedies
from shared.inspection.identities import identity_findings
from shared.inspection.keys import key_findings
from shared.inspection.look import Look
from shared.inspection.references import reference_findings
from shared.inspection.values import value_findings
from shared.mendix.metadata import Metadata
from shared.mendix.remedies import decide, offered

GROUP_BYTES = 512 * 1024 * 1024
GROUP_TABLES = 50


def groups(plan: DatabasePlan) -> list[list[str]]:
    """Cut the plan's filled tables into groups, each for one activity; the same plan gives the same groups."""
    found: list[list[str]] = []
    size = 0
    for table in sorted(filled(plan), key=lambda one: (-one.source_bytes, one.name)):
        if not found or len(found[-1]) >= GROUP_TABLES or size + table.source_bytes > GROUP_BYTES:
            found.append([])
            size = 0
        found[-1].append(table.name)
        size += table.source_bytes
    return found


def filled(plan: DatabasePlan) -> Iterator[PlannedTable]:
    """Yield the tables whose rows are carried over."""
    return (table for table in plan.tables if table.content == "copy")


def inspect(look: Look, names: Iterable[str], metadata: Metadata) -> list[Finding]:
    """Inspect tables; the findings have the remedies that the request chose for them."""
    found: list[Finding] = []
    for name in names:
        table = look.plan.table(name)
        found.extend(_proved(look, table, _decided(look, _findings(look, table, metadata)), metadata))
    return found


def _findings(look: Look, table: PlannedTable, metadata: Metadata) -> Iterator[Finding]:
    yield from value_findings(look, table)
    yield from key_findings(look, table)
    yield from reference_findings(look, table)
    yield from identity_findings(look, table, metadata)


def _decided(look: Look, findings: Iterable[Finding]) -> list[Finding]:
    return decide((offered(finding, look.plan.mode) for finding in findings), look.options.remedies)


def _proved(look: Look, table: PlannedTable, findings: list[Finding], metadata: Metadata) -> list[Finding]:
    """Look at the table's keys again as the chosen remedies leave them, until nothing new is found.

    Values that are cut, clamped or emptied may be equal afterwards, and a chosen collation may not tell the keys apart.
    Such a finding is open, or gets the remedy that the request chose for it.
    """
    while any(finding.chosen for finding in findings):
        remedied = apply_remedies(look.plan, findings, metadata).table(table.name)
        known = {(finding.code, finding.object): finding for finding in findings}
        again = [one for one in _decided(look, key_findings(look, remedied)) if _is_news(known, one)]
        if not again:
            break
        known |= {(one.code, one.object): _of_remedies(known, one) for one in again}
        findings = list(known.values())
    return findings


def _is_news(known: dict[tuple[str, str], Finding], again: Finding) -> bool:
    """Whether a finding was not there before the remedies, or is there although a remedy was chosen for it."""
    before = known.get((again.code, again.object))
    return before is None or before.chosen is not None


def _of_remedies(known: dict[tuple[str, str], Finding], again: Finding) -> Finding:
    before = known.get((again.code, again.object))
    if before is None:
        return again.model_copy(update={"message": f"{again.message} The remedies chosen for this table make it so."})
    message = f"{again.message} The chosen `{before.chosen}` does not mend it."
    return again.model_copy(update={"chosen": None, "message": message})
