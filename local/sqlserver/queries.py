"""SELECT → PostgreSQL."""

from collections.abc import Sequence
from dataclasses import replace

from sqlglot import exp

from local.sqlserver.casts import Sql, cast, common_type
from local.sqlserver.context import Context
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.expressions import Expressions, Language, ignores_case
from local.sqlserver.fromclause import FromClause, Lock, columns_of
from local.sqlserver.functions import FUNCTIONS, NILADIC
from local.sqlserver.parsing import only
from local.sqlserver.predicates import CONDITIONS, PREDICATES
from local.sqlserver.scope import Column, Scope, Source
from local.sqlserver.sqltypes import INT, NULL, SqlType
from local.sqlserver.store import quoted
from local.sqlserver.translated import Output, Query
from local.sqlserver.values import VALUES

_LANGUAGE = Language(VALUES, CONDITIONS, FUNCTIONS, NILADIC)
_OPTIONS = frozenset({"RECOMPILE", "MAXDOP"})


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
        return Expressions(self.context, scope, self.query, _LANGUAGE)

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
            scope.ctes[item.alias.lower()] = columns_of(query, names)
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
        word = _SET_OPERATIONS[type(node)]
        if not node.args.get("distinct"):
            word += " ALL"
        columns = [Output(column.name, kind) for column, kind in zip(sides[0].columns, kinds, strict=True)]
        sql = f"{head}({texts[0]}) {word} ({texts[1]})"
        if node.args.get("order"):
            sql += " ORDER BY " + ", ".join(_ordinal_order(item, columns) for item in node.args["order"].expressions)
        return Query(sql, columns)


_SET_OPERATIONS: dict[type[exp.Expression], str] = {
    exp.Union: "UNION", exp.Intersect: "INTERSECT", exp.Except: "EXCEPT"
}  # fmt: skip


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
        self.e = queries.expressions(self.scope)
        self.columns: list[Output] = []
        self.assigned: list[str] = []

    def translate(self) -> Query:
        node = self.node
        _check_options(node)
        source = FromClause(self.e, self.locked).clause(node)
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
        name = item.name if isinstance(item, exp.Column) and not _is_call(item) else ""
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


def _is_call(item: exp.Column) -> bool:
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
