"""Foreign keys whose rules SQL Server refuses together (error 1785).

A table may be reached once only by the cascading rules (CASCADE, SET NULL, SET DEFAULT) that a delete in another table
sets off, and never by its own delete: https://learn.microsoft.com/sql/relational-databases/errors-events/mssqlserver-1785-database-engine-error
PostgreSQL allows it, and Mendix' owner and changedBy make two such paths from System.User to one table.
"""

from collections.abc import Iterable

from shared.databaseplan import PlannedForeignKey, PlannedTable

Edges = dict[str, set[str]]
"""Table → tables that its deletes reach by one rule (or the other way round)."""


def refused(tables: Iterable[PlannedTable]) -> list[tuple[PlannedTable, PlannedForeignKey]]:
    """Return the cascading keys that SQL Server would refuse when all keys are made in the plan's order."""
    down: Edges = {}
    up: Edges = {}
    found = []
    for table in tables:
        for key in table.foreign_keys:
            if key.omitted is not None or key.on_delete == "NO ACTION":
                continue
            if _meets(down, up, key.referenced_table, table.name):
                found.append((table, key))
            else:
                down.setdefault(key.referenced_table, set()).add(table.name)
                up.setdefault(table.name, set()).add(key.referenced_table)
    return found


def _meets(down: Edges, up: Edges, source: str, target: str) -> bool:
    """Whether some table would reach another by two paths, or itself, with a rule from `source` to `target`."""
    above, below = _reached(up, source), _reached(down, target)
    return any(start in below or not below.isdisjoint(_reached(down, start)) for start in above)


def _reached(edges: Edges, start: str) -> set[str]:
    """Return every table that a path leads to, the start included."""
    found, waiting = {start}, [start]
    while waiting:
        more = edges.get(waiting.pop(), set()) - found
        found |= more
        waiting.extend(more)
    return found
