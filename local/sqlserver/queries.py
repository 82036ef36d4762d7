"""SELECT, INSERT, UPDATE and DELETE → PostgreSQL."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from sqlglot import exp

from local.sqlserver.casts import Sql, cast, common_type
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.expressions import Context, Expressions, ignores_case
from local.sqlserver.parsing import only
from local.sqlserver.predicates import PREDICATES
from local.sqlserver.scope import Column, Scope, Source, Table
from local.sqlserver.sqltypes import INT, NULL, SqlType
from local.sqlserver.store import quoted

# Hints that change nothing in a result here. UPDLOCK and XLOCK take row locks, HOLDLOCK shared ones; ranges are not
# locked.
_HINTS = frozenset(["NOLOCK", "READUNCOMMITTED", "READCOMMITTED", "READCOMMITTEDLOCK", "ROWLOCK", "PAGLOCK", "TABLOCK"])
_HOLDING = frozenset({"HOLDLOCK", "SERIALIZABLE", "REPEATABLEREAD"})
_LOCKING = frozenset({"UPDLOCK", "XLOCK"})
Lock = Literal["UPDATE", "SHARE"]
_OPTIONS = frozenset({"RECOMPILE", "MAXDOP"})


@dataclass(frozen=True, slots=True)
class Output:
    """A column of a result."""

    name: str
    kind: SqlType
    nullable: bool = True


@dataclass(frozen=True, slots=True)
class Query:
    """A translated query: PostgreSQL text and the columns it gives, named c1, c2, … there."""

    sql: str
    columns: list[Output]
    assigned: list[str] = field(default_factory=list)


class Queries:
    """Translates queries in one context."""

    def __init__(self, context: Context) -> None:
        self.context = context

    def query(
        self, node: exp.Expression, parent: Scope | None = None, targets: Sequence[SqlType] | None = None
    ) -> Query:
        """A SELECT, a UNION of them, or one in parentheses.

        Args:
            node: The tree.
            parent: Scope of the query around it.
            targets: Types the columns are assigned to (INSERT … SELECT).
        """
        if isinstance(node, exp.Subquery):
            only(node, "this")
            return self.query(node.this, parent, targets)
        if isinstance(node, (exp.Union, exp.Intersect, exp.Except)):
            return self._set_operation(node, parent, targets)
        if isinstance(node, exp.Select):
            return _Select(self, node, parent, targets).translate()
        raise NotUnderstoodError(node.sql(dialect="tsql"))

    def expressions(self, scope: Scope) -> Expressions:
        """A translator of expressions that see `scope`."""
        return Expressions(self.context, scope, lambda node, around: self.query(node, around))

    def ctes(self, node: exp.Expression, parent: Scope | None) -> tuple[str, Scope]:
        """The WITH clause and the scope that knows its names."""
        scope = Scope(parent=parent)
        clause = node.args.get("with_")
        if clause is None:
            return "", scope
        only(clause, "expressions")
        parts = []
        for item in clause.expressions:
            only(item, "this", "alias")
            query = self.query(item.this, scope)
            names = [column.name for column in item.args["alias"].columns] or [output.name for output in query.columns]
            scope.ctes[item.alias.lower()] = _columns(query, names)
            parts.append(f"{quoted(item.alias.lower())} AS ({query.sql})")
        return f"WITH {', '.join(parts)} ", scope

    def _set_operation(self, node: exp.Expression, parent: Scope | None, targets: Sequence[SqlType] | None) -> Query:
        only(node, "this", "expression", "distinct", "with_", "order", "limit", "offset")
        if node.args.get("limit") or node.args.get("offset"):
            raise NotUnderstoodError(node.sql(dialect="tsql"))
        head, scope = self.ctes(node, parent)
        sides = [self.query(side, scope, targets) for side in (node.this, node.expression)]
        if len(sides[0].columns) != len(sides[1].columns):
            raise SqlError(
                205,
                "All queries combined using a UNION, INTERSECT or EXCEPT operator must have an equal number of expressions in their target lists.",
            )
        kinds = [common_type([a.kind, b.kind]) for a, b in zip(sides[0].columns, sides[1].columns, strict=True)]
        texts = []
        for side in sides:
            items = [
                f"{cast(Sql(f'u.c{n}', column.kind), kind).text} AS c{n}"
                for n, (column, kind) in enumerate(zip(side.columns, kinds, strict=True), 1)
            ]
            texts.append(f"SELECT {', '.join(items)} FROM ({side.sql}) AS u")
        word = {exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"}[type(node)]
        if not node.args.get("distinct"):
            word += " ALL"
        columns = [Output(column.name, kind) for column, kind in zip(sides[0].columns, kinds, strict=True)]
        sql = f"{head}({texts[0]}) {word} ({texts[1]})"
        if node.args.get("order"):
            sql += " ORDER BY " + ", ".join(_ordinal_order(item, columns) for item in node.args["order"].expressions)
        return Query(sql, columns)


def _columns(query: Query, names: list[str]) -> list[Column]:
    return [
        Column(name, output.kind, output.nullable, f"c{place}")
        for place, (name, output) in enumerate(zip(names, query.columns, strict=True), 1)
    ]


def _ordinal_order(item: exp.Expression, columns: list[Output]) -> str:
    names = [column.name.lower() for column in columns]
    node = item.this
    if isinstance(node, exp.Literal) and node.is_int and 1 <= int(node.this) <= len(names):
        place = int(node.this)
    elif isinstance(node, exp.Column) and node.name.lower() in names:
        place = names.index(node.name.lower()) + 1
    else:
        raise NotUnderstoodError(f"ORDER BY {node.sql(dialect='tsql')} after a set operation or DISTINCT")
    return f"{place} DESC NULLS LAST" if item.args.get("desc") else f"{place} ASC NULLS FIRST"


class _Select:
    """One SELECT."""

    def __init__(
        self, queries: Queries, node: exp.Expression, parent: Scope | None, targets: Sequence[SqlType] | None
    ) -> None:
        only(node, "expressions", "distinct", "limit", "from_", "joins", "where", "group", "having", "order", "offset",
             "with_", "options", "kind")  # fmt: skip
        self.queries, self.node, self.targets = queries, node, targets
        self.head, self.scope = queries.ctes(node, parent)
        self.locked: list[tuple[str, Lock]] = []
        self.tables = _From(queries, self.scope, self.locked)
        self.columns: list[Output] = []
        self.assigned: list[str] = []

    def translate(self) -> Query:
        node = self.node
        _check_options(node)
        source = self.tables.clause(node)
        self.e = self.queries.expressions(self.scope)
        where = f" WHERE {self.e.predicate(node.args['where'].this)}" if node.args.get("where") else ""
        group = self._group()
        items = self._items()
        having = f" HAVING {self.e.predicate(node.args['having'].this)}" if node.args.get("having") else ""
        distinct = "DISTINCT " if self._distinct() else ""
        listed = ", ".join(f"{text} AS c{place}" for place, text in enumerate(items, 1))
        sql = f"{self.head}SELECT {distinct}{listed}{source}{where}{group}{having}{self._order()}{self._limit()}"
        sql += self._locks(grouped=bool(group or distinct))
        if self.assigned and len(self.assigned) != len(self.columns):
            raise SqlError(
                141,
                "A SELECT statement that assigns a value to a variable must not be combined with data-retrieval operations.",
                15,
            )
        if node.args.get("joins"):  # an outer join makes NULLs of columns that are NOT NULL
            self.columns = [replace(column, nullable=True) for column in self.columns]
        return Query(sql, self.columns, self.assigned)

    def _locks(self, *, grouped: bool) -> str:
        """The row locks that table hints ask for. A query that groups holds no shared ones: PostgreSQL refuses it."""
        updated, shared = ([name for name, lock in self.locked if lock == wanted] for wanted in ("UPDATE", "SHARE"))
        if updated and grouped:
            raise NotUnderstoodError("UPDLOCK or XLOCK in a query that groups")
        plain = not (grouped or self.node.args.get("joins") or self._aggregates())
        return (f" FOR UPDATE OF {', '.join(updated)}" if updated else "") + (
            f" FOR SHARE OF {', '.join(shared)}" if shared and plain else ""
        )

    def _aggregates(self) -> bool:
        return any(item.find(exp.AggFunc) for item in self.node.expressions)

    def _distinct(self) -> bool:
        distinct = self.node.args.get("distinct")
        if distinct is not None:
            only(distinct)
        return distinct is not None

    def _group(self) -> str:
        group = self.node.args.get("group")
        if group is None:
            return ""
        only(group, "expressions")
        keys = []
        for item in group.expressions:
            value = self.e.value(item)
            if value.constant is not None:
                raise SqlError(
                    164, "Each GROUP BY expression must contain at least one column that is not an outer reference.", 15
                )
            key = value.text
            if value.kind.is_string and ignores_case(value, self.queries.context):
                key = self.e.sort_key(value)
                self.e.grouped[value.text] = f"min({value.text})"
            keys.append(key)
        return f" GROUP BY {', '.join(keys)}"

    def _items(self) -> list[str]:
        texts: list[str] = []
        for item in self.node.expressions:
            for name, value in self._item(item):
                if self.targets is not None:
                    if len(texts) >= len(self.targets):
                        raise _wrong_count(more=True)
                    value = cast(value, self.targets[len(texts)], assign=True)
                self.columns.append(Output(name, INT if value.kind is NULL else value.kind, value.nullable))
                texts.append("NULL::int4" if value.kind is NULL else value.text)
        if self.targets is not None and len(texts) != len(self.targets):
            raise _wrong_count(more=False)
        return texts

    def _item(self, item: exp.Expression) -> list[tuple[str, Sql]]:
        if isinstance(item, exp.Star):
            only(item)
            return [self._seen(source, column) for source in self.scope.sources for column in source.columns]
        if isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            wanted = item.text("table").lower()
            chosen = [source for source in self.scope.sources if source.alias.lower() == wanted]
            if not chosen:
                raise SqlError(
                    107,
                    f"The column prefix '{wanted}' does not match with a table name or alias name used in the query.",
                )
            return [self._seen(source, column) for source in chosen for column in source.columns]
        if isinstance(item, exp.Alias):
            only(item, "this", "alias")
            return [(item.alias, self.e.value(item.this))]
        if isinstance(item, exp.EQ) and isinstance(item.this, exp.Parameter):
            name = item.this.this.name.lower()
            if name not in self.queries.context.variables:
                raise SqlError(137, f'Must declare the scalar variable "@{name}".', 15)
            self.assigned.append(name)
            return [("", cast(self.e.value(item.expression), self.queries.context.variables[name].kind))]
        if isinstance(item, PREDICATES):
            raise SqlError(102, f"Incorrect syntax near '{item.sql(dialect='tsql')}'.", 15)
        name = item.name if isinstance(item, exp.Column) and not _is_call(item, self.scope) else ""
        if name and isinstance(item, exp.Column):
            name = self.scope.resolve(name, item.text("table"))[1].name
        return [(name, self.e.value(item))]

    def _seen(self, source: Source, column: Column) -> tuple[str, Sql]:
        return column.name, Sql(f"{source.sql_alias}.{column.sql}", column.kind, column.nullable)

    def _order(self) -> str:
        order = self.node.args.get("order")
        if order is None:
            return ""
        only(order, "expressions")
        return " ORDER BY " + ", ".join(self._ordering(item) for item in order.expressions)

    def _ordering(self, item: exp.Expression) -> str:
        """An alias or an ordinal goes before a column of the same name, as in SQL Server."""
        only(item, "this", "desc", "nulls_first")
        node = item.this
        names = [column.name.lower() for column in self.columns]
        plain = isinstance(node, exp.Column) and not node.args.get("table") and node.name.lower() in names
        if self._distinct() or (isinstance(node, exp.Literal) and node.is_int):
            return _ordinal_order(item, self.columns)
        if plain:
            kind = self.columns[names.index(node.name.lower())].kind
            if not kind.is_string:
                return _ordinal_order(item, self.columns)
            aliased = next(
                (listed.this for listed in self.node.expressions
                 if isinstance(listed, exp.Alias) and listed.alias.lower() == node.name.lower()),
                node,
            )  # fmt: skip
            return self.e.ordering(exp.Ordered(this=aliased, desc=item.args.get("desc")))
        return self.e.ordering(item)

    def _limit(self) -> str:
        limit, offset = self.node.args.get("limit"), self.node.args.get("offset")
        text = ""
        if isinstance(limit, exp.Fetch):
            only(limit, "direction", "count", "limit_options")
            only(limit.args["limit_options"], "rows")
            text = f" LIMIT {self.e.value(limit.args['count']).text}"
        elif limit is not None:
            only(limit, "expression")
            text = f" LIMIT {self.e.value(limit.expression).text}"
        if offset is not None:
            if not self.node.args.get("order"):
                raise SqlError(102, "Incorrect syntax near 'OFFSET': it needs ORDER BY.", 15)
            only(offset, "expression")
            text += f" OFFSET {self.e.value(offset.expression).text}"
        return text


def _is_call(item: exp.Column, scope: Scope) -> bool:
    from local.sqlserver.functions import NILADIC

    quoted_name = item.this.args.get("quoted")
    return not item.args.get("table") and not quoted_name and item.name.upper() in NILADIC


def _wrong_count(*, more: bool) -> SqlError:
    number, word = (121, "more") if more else (120, "fewer")
    return SqlError(number, f"The select list for the INSERT statement contains {word} items than the insert list.", 15)


def _check_options(node: exp.Expression) -> None:
    for option in node.args.get("options") or []:
        if option.name.upper() not in _OPTIONS:
            raise NotUnderstoodError(f"OPTION ({option.sql(dialect='tsql')})")
    if node.args.get("kind"):
        raise NotUnderstoodError(f"SELECT AS {node.args['kind']}")


class _From:
    """The FROM clause: fills the scope with its sources."""

    def __init__(self, queries: Queries, scope: Scope, locked: list[tuple[str, Lock]]) -> None:
        self.queries, self.scope, self.locked = queries, scope, locked

    def clause(self, node: exp.Expression) -> str:
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
        test = self.queries.expressions(self.scope).predicate(condition)
        return f" {side} JOIN {source} ON {test}" if side else f" JOIN {source} ON {test}"

    def source(self, node: exp.Expression) -> str:
        if isinstance(node, exp.Table):
            return self.table(node)
        if isinstance(node, exp.Subquery):
            only(node, "this", "alias")
            query = self.queries.query(node.this, self._outer())
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
        self.scope.add(Source(alias.name, quoted(alias.name), _columns(query, names)))
        return f"({query.sql}) AS {quoted(alias.name)}"

    def _values(self, node: exp.Expression) -> Query:
        e = self.queries.expressions(Scope(parent=self.scope.parent))
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

    def table(self, node: exp.Expression) -> str:
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
        table = find_table(self.queries.context, node)
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
