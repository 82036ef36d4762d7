"""Looks at groups of tables: every check of the data preflight, and the remedies the request chose."""

from collections.abc import Iterable, Iterator

from shared.databaseplan import DatabasePlan, PlannedTable
from shared.errors import Finding
from shared.inspection.identities import identity_findings
from shared.inspection.keys import COLLISION, key_findings
from shared.inspection.look import Look
from shared.inspection.references import reference_findings
from shared.inspection.settle import settle
from shared.inspection.values import value_findings
from shared.mendix.metadata import Metadata
from shared.mendix.remedies import COLLATION, decide, offered

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
        found_here = (offered(finding, look.plan.mode) for finding in _findings(look, table, metadata))
        findings = decide(found_here, look.options.remedies)
        found.extend(_proved(look, table, finding, metadata) for finding in findings)
    return found


def _findings(look: Look, table: PlannedTable, metadata: Metadata) -> Iterator[Finding]:
    yield from value_findings(look, table)
    yield from key_findings(look, table)
    yield from reference_findings(look, table)
    yield from identity_findings(look, table, metadata)


def _proved(look: Look, table: PlannedTable, finding: Finding, metadata: Metadata) -> Finding:
    """Return a finding whose chosen collation was tried: it stays open if the keys collide under that one too."""
    if finding.code != COLLISION.code or not (finding.chosen or "").startswith(COLLATION):
        return finding
    remedied = settle(look.plan, [finding], metadata).table(table.name)
    for again in key_findings(look, remedied):
        if again.code == COLLISION.code and again.object == finding.object:
            return again.model_copy(update={"message": f"{again.message} The chosen collation does not mend it."})
    return finding
