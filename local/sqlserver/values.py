"""T-SQL expressions that give a value → PostgreSQL expressions: a function for each kind of node."""

from collections.abc import Callable
from dataclasses import replace

from sqlglot import exp

from local.sqlserver.arithmetic import decimal_arithmetic, higher_type
from local.sqlserver.casts import Sql, cast, common_type, concatenated_type
from local.sqlserver.collations import check_collation, refuse_conflict
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.expressions import Expressions
from local.sqlserver.parsing import only
from local.sqlserver.sqltypes import (
    BIGINT,
    FLOAT,
    INT,
    MAX,
    NULL,
    SqlType,
    UnknownTypeError,
    decimal,
    make_type,
    nvarchar,
    varbinary,
    varchar,
)
from local.sqlserver.store import literal

_ARITHMETIC: dict[type[exp.Expression], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
_BITS: dict[type[exp.Expression], str] = {exp.BitwiseAnd: "&", exp.BitwiseOr: "|", exp.BitwiseXor: "#"}


def _column(e: Expressions, node: exp.Expression) -> Sql:
    only(node, "this", "table")
    if not isinstance(node.this, exp.Identifier):
        raise NotUnderstoodError(node.sql(dialect="tsql"))
    name = node.this.name
    if not node.args.get("table") and not node.this.args.get("quoted"):
        if name.startswith("$"):
            raise NotUnderstoodError(name)
        if name.upper() in e.language.niladic:
            return e.language.niladic[name.upper()](e)
    text, column = e.scope.resolve(name, node.text("table"))
    return Sql(text, column.kind, column.nullable)


def _literal(e: Expressions, node: exp.Expression) -> Sql:
    text = node.this
    if node.args["is_string"]:
        return Sql(f"{literal(text)}::text", varchar(max(1, len(text))), False, constant=text, ascii=text.isascii())
    if "e" in text.lower():
        return Sql(f"{text}::float8", FLOAT, False, constant=text)
    if "." in text:
        whole, fraction = text.lstrip("0").split(".")
        return Sql(f"{text}::numeric", decimal(max(1, len(whole + fraction)), len(fraction)), False, constant=text)
    if int(text) <= 0x7FFFFFFF:
        return Sql(f"{text}::int4", INT, False, constant=text)
    # A decimal by its T-SQL type; int8 lets PostgreSQL use the index of a bigint column it is compared with.
    stored = "int8" if int(text) < 2**63 else "numeric"
    return Sql(f"{text}::{stored}", decimal(len(text), 0), False, constant=text)


def _national(e: Expressions, node: exp.Expression) -> Sql:
    units = len(node.this.encode("utf-16-le")) // 2
    length = units if units <= 4000 else MAX
    return Sql(
        f"{literal(node.this)}::text", nvarchar(max(1, length) if length != MAX else MAX), False, constant=node.this
    )


def _hex(e: Expressions, node: exp.Expression) -> Sql:
    digits = node.this.rjust(len(node.this) + len(node.this) % 2, "0")
    return Sql(f"decode('{digits}', 'hex')", varbinary(max(1, len(digits) // 2)), False)


def _parameter(e: Expressions, node: exp.Expression) -> Sql:
    if isinstance(node.this, exp.Parameter):
        name = node.this.this.name.upper()
        if name not in e.context.globals:
            raise NotUnderstoodError(f"@@{name}")
        return e.context.globals[name]()
    return e.context.parameter(node.this.name)


def _null(e: Expressions, node: exp.Expression) -> Sql:
    return Sql("NULL", NULL)


def _paren(e: Expressions, node: exp.Expression) -> Sql:
    inner = e.value(node.this)
    return replace(inner, text=f"({inner.text})", constant=None)


def _negative(e: Expressions, node: exp.Expression) -> Sql:
    inner = e.value(node.this)
    if not inner.kind.is_number:
        raise SqlError(8117, f"Operand data type {inner.kind.name} is invalid for minus operator.")
    if node.this.is_int and int(node.this.this) == 2**63:
        return Sql("(-9223372036854775808)::numeric", decimal(19, 0), False)
    return Sql(
        f"(-{inner.text})", inner.kind, inner.nullable, constant=f"-{inner.constant}" if inner.constant else None
    )


def _arithmetic(e: Expressions, node: exp.Expression) -> Sql:
    left, right, operator = e.value(node.this), e.value(node.expression), _ARITHMETIC[type(node)]
    if operator == "+" and (left.kind.is_string or left.kind.name == "null") and right.kind.is_string:
        return _concatenate(left, right)
    if operator == "+" and left.kind.is_string and right.kind.name == "null":
        return _concatenate(left, right)
    if operator == "+" and left.kind.is_binary and right.kind.is_binary:
        length = (
            MAX if MAX in (left.kind.length, right.kind.length) else min(8000, left.kind.length + right.kind.length)
        )
        return Sql(f"({left.text} || {right.text})", varbinary(length))
    best = higher_type(left, right, node)
    if not best.is_number:
        raise NotUnderstoodError(node.sql(dialect="tsql"))
    if best.name in ("decimal", "money"):
        return decimal_arithmetic(left, right, operator)
    if best.name == "bit":
        best = INT
    if operator == "%" and best.name in ("float", "real"):
        raise SqlError(402, "The data types float and float are incompatible in the modulo operator.")
    return Sql(f"({cast(left, best).text} {operator} {cast(right, best).text})", best)


def _bits(e: Expressions, node: exp.Expression) -> Sql:
    left, right = e.value(node.this), e.value(node.expression)
    best = higher_type(left, right, node)
    return Sql(f"({cast(left, best).text} {_BITS[type(node)]} {cast(right, best).text})", best)


def _concatenate(left: Sql, right: Sql) -> Sql:
    """`+` of two strings."""
    refuse_conflict(left, right, "add")
    kind = concatenated_type([left, right])
    narrow = [
        part if kind.is_unicode or part.ascii else cast(part, varchar(MAX, kind.collation)) for part in (left, right)
    ]
    text = f"({narrow[0].text} || {narrow[1].text})"
    limit = 4000 if kind.is_unicode else 8000
    total = sum(part.kind.length for part in (left, right))
    if kind.length != MAX and total > limit:
        text = f"mssql.units_left({text}, {limit})"
    return Sql(text, kind, explicit=left.explicit or right.explicit, ascii=left.ascii and right.ascii)


def _collate(e: Expressions, node: exp.Expression) -> Sql:
    inner = e.value(node.this)
    if not inner.kind.is_string and inner.kind.name != "null":
        raise SqlError(447, f"Expression type {inner.kind.name} is invalid for COLLATE clause.")
    name = node.expression.name
    if name.lower() == "database_default":
        return inner
    check_collation(name)
    kind = inner.kind.collated(name)
    text = inner.text
    if kind.name in ("varchar", "char") and not kind.is_utf8 and inner.kind.is_utf8:
        text = f"mssql.cp1252({text})"
    return Sql(text, kind, inner.nullable, True, ascii=inner.ascii)


def _cast(e: Expressions, node: exp.Expression) -> Sql:
    only(node, "this", "to", "expression", "style")
    convert = isinstance(node, exp.Convert)
    wanted, inner = (node.this, node.expression) if convert else (node.args["to"], node.this)
    style = None
    if node.args.get("style") is not None:
        given = e.value(node.args["style"])
        if given.constant is None or not given.constant.lstrip("-").isdigit():
            raise NotUnderstoodError(f"a style that is no number: {node.sql(dialect='tsql')}")
        style = int(given.constant)
    return cast(e.value(inner), data_type(wanted, default_length=30), style)


def _case(e: Expressions, node: exp.Expression) -> Sql:
    only(node, "this", "ifs", "default")
    branches = [e.value(branch.args["true"]) for branch in node.args["ifs"]]
    if node.args.get("default") is not None:
        branches.append(e.value(node.args["default"]))
    kind = common_type([branch.kind for branch in branches])
    results = [cast(branch, kind).text for branch in branches]
    subject = node.this
    text = "CASE"
    for branch, result in zip(node.args["ifs"], results, strict=False):
        test = e.comparison(e.value(subject), "=", e.value(branch.this)) if subject else e.predicate(branch.this)
        text += f" WHEN {test} THEN {result}"
    if node.args.get("default") is not None:
        text += f" ELSE {results[-1]}"
    explicit = next((branch for branch in branches if branch.explicit), None)
    if explicit:
        kind = kind.collated(explicit.kind.collation)
    plain = all(branch.ascii for branch in branches)
    return Sql(f"({text} END)", kind, explicit=explicit is not None, ascii=plain)


def _subquery(e: Expressions, node: exp.Expression) -> Sql:
    only(node, "this")
    query = e.subquery(node.this, e.scope)
    if len(query.columns) != 1:
        raise SqlError(
            116,
            "Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.",
        )
    return Sql(f"({query.sql})", query.columns[0].kind)


def _call(e: Expressions, node: exp.Expression) -> Sql:
    only(node, "this", "expressions")
    return e.call(node.name, list(node.expressions), node)


def _window(e: Expressions, node: exp.Expression) -> Sql:
    only(node, "this", "partition_by", "order", "over", "alias")
    inner, order = node.this, node.args.get("order")
    name = inner.name.upper() if isinstance(inner, exp.Anonymous) else ""
    if name not in ("ROW_NUMBER", "RANK", "DENSE_RANK", "COUNT", "COUNT_BIG", "SUM", "MIN", "MAX"):
        raise NotUnderstoodError(node.sql(dialect="tsql"))
    if name in ("ROW_NUMBER", "RANK", "DENSE_RANK"):
        function = Sql(f"{name.lower()}()", BIGINT)
    else:
        function = e.call(name, list(inner.expressions), inner)
        if "::" in function.text or order:
            raise NotUnderstoodError(node.sql(dialect="tsql"))
    parts = []
    if node.args.get("partition_by"):
        keys = [e.sort_key(e.value(key)) for key in node.args["partition_by"]]
        parts.append("PARTITION BY " + ", ".join(keys))
    if order:
        parts.append("ORDER BY " + ", ".join(e.ordering(item) for item in order.expressions))
    return Sql(f"{function.text} OVER ({' '.join(parts)})", function.kind)


def data_type(node: exp.Expression, *, default_length: int) -> SqlType:
    """The T-SQL type a tree of sqlglot names."""
    if not isinstance(node, exp.DataType):
        raise NotUnderstoodError(f"type {node.sql(dialect='tsql')}")
    only(node, "this", "expressions", "kind")
    raw = node.this
    name = (
        str(node.args["kind"])
        if str(getattr(raw, "value", raw)) == "USERDEFINED"
        else _TYPE_NAMES.get(raw.value, raw.value)
    )
    arguments = [item.this.name if isinstance(item, exp.DataTypeParam) else item.name for item in node.expressions]
    try:
        return make_type(name, arguments, default_length=default_length)
    except UnknownTypeError as error:
        raise NotUnderstoodError(f"type {error}") from error


_TYPE_NAMES = {
    "UTINYINT": "tinyint",
    "BOOLEAN": "bit",
    "DOUBLE": "float",
    "TIMESTAMP": "datetime2",
    "TIMESTAMPNTZ": "datetime2",
    "DATETIME": "datetime",
    "UUID": "uniqueidentifier",
    "TEXT": "varchar(max)",
}


VALUES: dict[type[exp.Expression], Callable[[Expressions, exp.Expression], Sql]] = {
    exp.Column: _column,
    exp.Literal: _literal,
    exp.National: _national,
    exp.HexString: _hex,
    exp.Parameter: _parameter,
    exp.Null: _null,
    exp.Paren: _paren,
    exp.Neg: _negative,
    exp.Collate: _collate,
    exp.Cast: _cast,
    exp.Convert: _cast,
    exp.Case: _case,
    exp.Subquery: _subquery,
    exp.Anonymous: _call,
    exp.Window: _window,
}

VALUES.update(dict.fromkeys(_ARITHMETIC, _arithmetic))
VALUES.update(dict.fromkeys(_BITS, _bits))
