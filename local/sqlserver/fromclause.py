"""The FROM clause: tables, derived tables and joins, and the locks that table hints ask for."""

from typing import Literal

from sqlglot import exp

from local.sqlserver.casts import cast, common_type
from local.sqlserver.context import Context
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.expressions import Expressions
from local.sqlserver.parsing import only
from local.sqlserver.scope import Column, Scope, Source, Table
from local.sqlserver.store import quoted
from local.sqlserver.translated import Output, Query

# Hints that change nothing in a result here. UPDLOCK and XLOCK take row locks, HOLDLOCK shared ones; ranges are not
# locked.
_HINTS = frozenset(["NOLOCK", "READUNCOMMITTED", "READCOMMITTED", "READCOMMITTEDLOCK", "ROWLOCK", "PAGLOCK", "TABLOCK"])
_HOLDING = frozenset({"HOLDLOCK", "SERIALIZABLE", "REPEATABLEREAD"})
_LOCKING = frozenset({"UPDLOCK", "XLOCK"})
Lock = Literal["UPDATE", "SHARE"]


class FromClause:
    """The FROM clause: fills the scope with its sources.

    Args:
        e: Translates its conditions; its scope is the one filled.
        locked: Takes the aliases whose rows are to be locked, and how.
    """

    def __init__(self, e: Expressions, locked: list[tuple[str, Lock]]) -> None:
        self.e, self.scope, self.locked = e, e.scope, locked

    def clause(self, node: exp.Expression) -> str:
        """FROM and its joins, or nothing."""
        start = node.args.get("from_")
        if start is None:
            return ""
        only(start, "this")
        text = f" FROM {self.source(start.this)}"
        for join in (*(start.this.args.get("joins") or ()), *(node.args.get("joins") or ())):
            text += self._join(join)
        return text

    def _join(self, join: exp.Expression) -> str:
        only(join, "this", "on", "side", "kind")
        side, kind = (join.args.get("side") or "").upper(), (join.args.get("kind") or "").upper()
        if kind not in ("", "INNER", "OUTER", "CROSS") or side not in ("", "LEFT", "RIGHT", "FULL"):
            raise NotUnderstoodError(join.sql(dialect="tsql"))
        source = self.source(join.this)
        condition = join.args.get("on")
        if condition is None:
            if side:
                raise NotUnderstoodError(join.sql(dialect="tsql"))
            return f" CROSS JOIN {source}"
        test = self.e.predicate(condition)
        return f" {side} JOIN {source} ON {test}" if side else f" JOIN {source} ON {test}"

    def source(self, node: exp.Expression) -> str:
        """One source."""
        if isinstance(node, exp.Table):
            return self._table(node)
        if isinstance(node, exp.Subquery):
            only(node, "this", "alias")
            query = self.e.subquery(node.this, self._outer())
            return self._derived(query, node)
        if isinstance(node, exp.Values):
            only(node, "expressions", "alias")
            return self._derived(self._values(node), node)
        raise NotUnderstoodError(node.sql(dialect="tsql"))

    def _outer(self) -> Scope:
        return Scope(ctes=self.scope.ctes, parent=self.scope.parent)

    def _derived(self, query: Query, node: exp.Expression) -> str:
        alias = node.args.get("alias")
        if alias is None or not alias.name:
            raise SqlError(102, "Incorrect syntax: a derived table needs an alias.", 15)
        names = [column.name for column in alias.columns] or [column.name for column in query.columns]
        if "" in names:
            raise SqlError(8155, f"No column name was specified for column {names.index('') + 1} of '{alias.name}'.")
        self.scope.add(Source(alias.name, quoted(alias.name), columns_of(query, names)))
        return f"({query.sql}) AS {quoted(alias.name)}"

    def _values(self, node: exp.Expression) -> Query:
        e = self.e.seeing(Scope(parent=self.scope.parent))
        rows = [[e.value(item) for item in row.expressions] for row in node.expressions]
        kinds = [common_type([value.kind for value in column]) for column in zip(*rows, strict=True)]
        texts = [
            "SELECT "
            + ", ".join(
                f"{cast(value, kind).text} AS c{n}" for n, (value, kind) in enumerate(zip(row, kinds, strict=True), 1)
            )
            for row in rows
        ]
        return Query(" UNION ALL ".join(texts), [Output("", kind) for kind in kinds])

    def _table(self, node: exp.Expression) -> str:
        only(node, "this", "db", "catalog", "alias", "hints", "joins")
        if not isinstance(node.this, exp.Identifier) or node.this.args.get("temporary"):
            raise NotUnderstoodError(node.sql(dialect="tsql"))
        name, schema = node.name, node.text("db")
        alias = node.alias or name
        if node.args.get("alias") is not None:
            only(node.args["alias"], "this")
        found = self.scope.cte(name) if not schema else None
        if found is not None:
            self.scope.add(Source(alias, quoted(alias), found))
            return f"{quoted(name.lower())} AS {quoted(alias)}"
        table = find_table(self.e.context, node)
        self.scope.add(Source(alias, quoted(alias), list(table.columns)))
        lock = locks(node.args.get("hints") or [])
        if lock is not None:
            self.locked.append((quoted(alias), lock))
        return f"{table.sql} AS {quoted(alias)}"


def find_table(context: Context, node: exp.Expression) -> Table:
    """The table a tree names; another database's is refused."""
    catalog = node.text("catalog")
    if catalog and catalog.lower() != context.catalogue.database.lower():
        raise NotUnderstoodError(f"a table of another database: {node.sql(dialect='tsql')}")
    shown = ".".join(part for part in (node.text("db"), node.name) if part)
    return context.catalogue.table(node.text("db"), node.name, shown)


def locks(hints: list[exp.Expression]) -> Lock | None:
    """Which row locks table hints ask for.

    Raises:
        NotUnderstoodError: A hint that is not known.
    """
    names = set()
    for item in (item for hint in hints for item in hint.expressions):
        if not isinstance(item, exp.Var) or item.name.upper() not in _HINTS | _LOCKING | _HOLDING:
            raise NotUnderstoodError(f"table hint {item.sql(dialect='tsql')}")
        names.add(item.name.upper())
    return "UPDATE" if names & _LOCKING else "SHARE" if names & _HOLDING else None


def columns_of(query: Query, names: list[str]) -> list[Column]:
    """The columns of a query in parentheses, under these names."""
    return [
        Column(name, output.kind, output.nullable, f"c{place}")
        for place, (name, output) in enumerate(zip(names, query.columns, strict=True), 1)
    ]
