"""INSERT, UPDATE and DELETE → PostgreSQL."""

from dataclasses import dataclass, field

from sqlglot import exp

from local.sqlserver.casts import Sql, cast
from local.sqlserver.clauses import Clauses
from local.sqlserver.context import Context
from local.sqlserver.errors import NotUnderstoodError, SqlError, syntax_error
from local.sqlserver.expressions import Expressions
from local.sqlserver.fromclause import FromClause, find_table, locks
from local.sqlserver.parsing import only, parse_expression, parse_query
from local.sqlserver.queries import Queries
from local.sqlserver.scope import Column, Scope, Source, Table
from local.sqlserver.sqltypes import SqlType
from local.sqlserver.store import quoted
from local.sqlserver.translated import Output, Query, Statement


def select(context: Context, text: str) -> Statement:
    """SELECT, also WITH … SELECT."""
    tree = parse_query(text)
    if not isinstance(tree, (exp.Select, exp.Union, exp.Intersect, exp.Except, exp.Subquery)):
        raise NotUnderstoodError(text)
    if tree.args.get("into"):
        raise NotUnderstoodError("SELECT … INTO", text)
    query = Queries(context).query(tree)
    return Statement("SELECT", query.sql, context.used, query.columns, query.assigned)


def insert(context: Context, text: str) -> Statement:
    """INSERT [INTO] table [(columns)] [OUTPUT …] VALUES … | SELECT … | DEFAULT VALUES."""
    tree = parse_query(text)
    if not isinstance(tree, exp.Insert):
        raise NotUnderstoodError(text)
    only(tree, "this", "expression", "returning", "default", "with_")
    target = tree.this.this if isinstance(tree.this, exp.Schema) else tree.this
    only(target, "this", "db", "catalog", "hints")
    locks(target.args.get("hints") or [])
    table = _writable(context, target)
    names = [name.name for name in tree.this.expressions] if isinstance(tree.this, exp.Schema) else []
    columns = [table.column(name) for name in names] if names else list(table.columns)
    if len({column.name for column in columns}) != len(columns):
        raise SqlError(
            264, "The column name is specified more than once in the SET clause or column list of an INSERT."
        )
    output = _returning(context, table, tree.args.get("returning"), "inserted")
    head = f"INSERT INTO {table.sql} AS target"
    if tree.args.get("default"):
        return _statement("INSERT", f"{head} DEFAULT VALUES", context, table, output)
    listed = ", ".join(quoted(column.name) for column in columns)
    source = _inserted(context, tree, columns, named=bool(names))
    return _statement("INSERT", f"{head} ({listed}) {source}", context, table, output)


def _writable(context: Context, node: exp.Expression) -> Table:
    table = find_table(context, node)
    if table.schema != "dbo":
        raise SqlError(259, "Ad hoc updates to system catalogs are not allowed.")
    return table


def _inserted(context: Context, tree: exp.Expression, columns: list[Column], *, named: bool) -> str:
    source = tree.expression
    queries = Queries(context)
    if not isinstance(source, exp.Values):
        query = queries.query(source, targets=[column.kind for column in columns])
        return f"SELECT * FROM ({query.sql}) AS source"
    only(source, "expressions")
    e = queries.expressions(Scope())
    rows = []
    for row in source.expressions:
        if len(row.expressions) != len(columns):
            number = 109 if len(row.expressions) < len(columns) else 110
            text = "There are more columns in the INSERT statement than values specified in the VALUES clause. The number of values in the VALUES clause must match the number of columns specified in the INSERT statement."
            if not named:
                number, text = 213, "Column name or number of supplied values does not match table definition."
            raise SqlError(number, text)
        values = [_assigned(e, item, column) for item, column in zip(row.expressions, columns, strict=True)]
        rows.append(f"({', '.join(values)})")
    return f"VALUES {', '.join(rows)}"


def _assigned(e: Expressions, node: exp.Expression, column: Column) -> str:
    if isinstance(node, exp.Var) and node.name.upper() == "DEFAULT":
        return "DEFAULT"
    return cast(e.value(node), column.kind, assign=True).text


def _returning(context: Context, table: Table, node: exp.Expression | None, prefix: str) -> Query | None:
    """OUTPUT inserted.… or deleted.… as a RETURNING list."""
    if node is None:
        return None
    only(node, "expressions")
    scope = Scope()
    scope.add(Source(prefix, "target", list(table.columns)))
    e = Queries(context).expressions(scope)
    columns, texts = [], []
    for item in node.expressions:
        if isinstance(item, exp.Column) and isinstance(item.this, exp.Star):
            if item.text("table").lower() != prefix:
                raise NotUnderstoodError(node.sql(dialect="tsql"))
            for column in table.columns:
                columns.append(Output(column.name, column.kind, column.nullable))
                texts.append(f"target.{column.sql}")
            continue
        inner = item.this if isinstance(item, exp.Alias) else item
        value = e.value(inner)
        columns.append(
            Output(item.alias or (inner.name if isinstance(inner, exp.Column) else ""), value.kind, value.nullable)
        )
        texts.append(value.text)
    return Query(", ".join(texts), columns)


def _statement(verb: str, sql: str, context: Context, table: Table, output: Query | None) -> Statement:
    if output is None:
        return Statement(verb, sql, context.used, table=table.name)
    return Statement(verb, f"{sql} RETURNING {output.sql}", context.used, output.columns, table=table.name)


# --- UPDATE and DELETE -----------------------------------------------------------------------------------------------


@dataclass
class _Target:
    """What UPDATE or DELETE changes, and what else its WHERE sees."""

    table: Table
    scope: Scope
    others: str = ""
    conditions: list[str] = field(default_factory=list)


_KEYWORDS = ("OUTPUT", "FROM", "WHERE", "OPTION")


def update(context: Context, text: str) -> Statement:
    """UPDATE table SET … [OUTPUT inserted.…] [FROM …] [WHERE …]."""
    clauses = Clauses(text)
    clauses.expect("UPDATE")
    named = _named_target(clauses)
    clauses.expect("SET")
    assignments = clauses.until(*_KEYWORDS)
    output = clauses.until("FROM", "WHERE", "OPTION") if clauses.takes("OUTPUT") else ""
    target = _target(context, clauses, named)
    e = Queries(context).expressions(target.scope)
    returned: list[tuple[str, Column]] = []
    settings = [_set(e, target.table, part, returned) for part in _parts(assignments)]
    where = _where(e, clauses, target)
    sql = f"UPDATE {target.table.sql} AS target SET {', '.join(settings)}{target.others}{where}"
    if returned:
        if output:
            raise NotUnderstoodError("SET @variable with OUTPUT", text)
        columns = [Output("", column.kind) for _, column in returned]
        sql += " RETURNING " + ", ".join(f"target.{column.sql}" for _, column in returned)
        return Statement("UPDATE", sql, context.used, columns, [name for name, _ in returned], target.table.name)
    return _statement("UPDATE", sql, context, target.table, _output(context, target.table, output, "inserted"))


def delete(context: Context, text: str) -> Statement:
    """DELETE [FROM] table [OUTPUT deleted.…] [FROM …] [WHERE …]."""
    clauses = Clauses(text)
    clauses.expect("DELETE")
    top = None
    if clauses.takes("TOP"):
        top = clauses.parenthesised()
    clauses.takes("FROM")
    named = _named_target(clauses)
    output = clauses.until("FROM", "WHERE", "OPTION") if clauses.takes("OUTPUT") else ""
    target = _target(context, clauses, named)
    e = Queries(context).expressions(target.scope)
    where = _where(e, clauses, target)
    if top is not None:
        if target.others:
            raise NotUnderstoodError("DELETE TOP with FROM", text)
        limit = e.value(parse_expression(f"{top} = 0").this).text
        where = f" WHERE target.ctid IN (SELECT target.ctid FROM {target.table.sql} AS target{where} LIMIT {limit})"
    using = target.others.replace(" FROM ", " USING ", 1)
    sql = f"DELETE FROM {target.table.sql} AS target{using}{where}"
    return _statement("DELETE", sql, context, target.table, _output(context, target.table, output, "deleted"))


def _named_target(clauses: Clauses) -> tuple[str, str, str]:
    if clauses.word() == "TOP":
        raise NotUnderstoodError("TOP", clauses.statement)
    named = clauses.qualified()
    if clauses.takes("WITH"):
        hints = clauses.parenthesised()
        tree = parse_query(f"SELECT 1 AS a FROM t WITH ({hints})")
        locks(tree.args["from_"].this.args.get("hints") or [])
    return named


def _target(context: Context, clauses: Clauses, named: tuple[str, str, str]) -> _Target:
    """The table that is changed; with FROM it may be named by its alias there."""
    database, schema, name = named
    if not clauses.takes("FROM"):
        node = exp.Table(this=exp.to_identifier(name, quoted=True), db=schema or None, catalog=database or None)
        table = _writable(context, node)
        scope = Scope()
        scope.add(Source(name, "target", list(table.columns)))
        return _Target(table, scope)
    return _joined_target(context, clauses, name)


def _joined_target(context: Context, clauses: Clauses, name: str) -> _Target:
    """UPDATE … FROM: only inner joins, whose conditions move to WHERE."""
    tree = parse_query(f"SELECT 1 AS a FROM {clauses.until('WHERE', 'OPTION')}")
    nodes = [tree.args["from_"].this, *(join.this for join in tree.args.get("joins") or [])]
    chosen = [
        node for node in nodes if isinstance(node, exp.Table) and (node.alias or node.name).lower() == name.lower()
    ]
    if len(chosen) != 1:
        raise NotUnderstoodError(f"target {name}, which FROM does not name once", clauses.statement)
    table = _writable(context, replace_alias(chosen[0]))
    locks(chosen[0].args.get("hints") or [])
    scope = Scope()
    e = Queries(context).expressions(scope)
    reader = FromClause(e, [])
    scope.add(Source(name, "target", list(table.columns)))
    others = [reader.source(node) for node in nodes if node is not chosen[0]]
    target = _Target(table, scope, f" FROM {', '.join(others)}" if others else "")
    for join in tree.args.get("joins") or []:
        only(join, "this", "on", "kind")
        if (join.args.get("kind") or "INNER").upper() not in ("INNER", "CROSS"):
            raise NotUnderstoodError(join.sql(dialect="tsql"), clauses.statement)
        if join.args.get("on") is not None:
            target.conditions.append(e.predicate(join.args["on"]))
    return target


def replace_alias(node: exp.Expression) -> exp.Expression:
    """A copy of a table's tree without alias and hints."""
    parts = {key: node.args.get(key) for key in ("this", "db", "catalog")}
    return exp.Table(**{key: value.copy() for key, value in parts.items() if value is not None})


def _where(e: Expressions, clauses: Clauses, target: _Target) -> str:
    conditions = list(target.conditions)
    if clauses.takes("WHERE"):
        conditions.append(e.predicate(parse_expression(clauses.until("OPTION"))))
    clauses.end()
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _set(e: Expressions, table: Table, text: str, returned: list[tuple[str, Column]]) -> str:
    """`column = expression`, `column += expression`, `@variable = column = expression`."""
    clauses = Clauses(text)
    variable = None
    if clauses.word() == "@":
        variable = clauses.variable()
        clauses.expect("=")
        if clauses.token(1) is None or clauses.word(1) not in ("=", "."):
            raise NotUnderstoodError("SET @variable = expression in UPDATE", text)
    column = table.column(clauses.qualified()[2])
    if variable is not None:
        if variable.lower() not in e.context.variables:
            raise SqlError(137, f'Must declare the scalar variable "@{variable}".', 15)
        returned.append((variable.lower(), column))
    operator = next((word for word in "+-*/%" if clauses.takes(word)), "")
    if not operator and clauses.word() in ("+=", "-=", "*=", "/=", "%="):
        operator = clauses.word()[0]
        clauses.at += 1
    else:
        clauses.expect("=")
    rest = clauses.rest()
    if rest.upper() == "DEFAULT":
        return f"{quoted(column.name)} = DEFAULT"
    source = f"[{column.name}] {operator} ({rest})" if operator else rest
    value = e.value(parse_query(f"SELECT {source} AS v").expressions[0].this)
    return f"{quoted(column.name)} = {cast(value, column.kind, assign=True).text}"


def _parts(text: str) -> list[str]:
    """A list cut at its commas."""
    clauses = Clauses(text)
    parts = [clauses.until(",")]
    while clauses.takes(","):
        parts.append(clauses.until(","))
    clauses.end()
    return parts


def _output(context: Context, table: Table, text: str, prefix: str) -> Query | None:
    if not text:
        return None
    tree = parse_query(f"SELECT {text}")
    if {key for key, value in tree.args.items() if value} != {"expressions"}:
        raise syntax_error(text)
    return _returning(context, table, exp.Returning(expressions=tree.expressions), prefix)


def set_variable(context: Context, name: str, text: str) -> tuple[Statement, SqlType]:
    """`SET @name = expression` as a query of one value."""
    variable = context.variables.get(name.lower())
    if variable is None:
        raise SqlError(137, f'Must declare the scalar variable "@{name}".', 15)
    e = Queries(context).expressions(Scope())
    value = cast(e.value(parse_query(f"SELECT {text} AS v").expressions[0].this), variable.kind)
    return Statement("SELECT", f"SELECT {value.text}", context.used, [Output("", variable.kind)]), variable.kind


def condition(context: Context, text: str) -> Statement:
    """The condition of IF as a query of one value, 1 or 0."""
    e = Queries(context).expressions(Scope())
    test = e.predicate(parse_expression(text))
    return Statement("SELECT", f"SELECT CASE WHEN {test} THEN 1 ELSE 0 END", context.used)


def scalar(context: Context, text: str) -> tuple[Sql, Statement]:
    """One expression outside any query."""
    e = Queries(context).expressions(Scope())
    value = e.value(parse_query(f"SELECT {text} AS v").expressions[0].this)
    return value, Statement("SELECT", f"SELECT {value.text}", context.used, [Output("", value.kind)])
