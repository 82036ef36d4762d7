"""T-SQL expressions → PostgreSQL expressions with their T-SQL types.

Every kind of node is listed; a node or a part of one that is not listed is refused by name, never passed over.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from sqlglot import exp

from local.sqlserver.arithmetic import decimal_arithmetic, higher_type
from local.sqlserver.casts import Sql, cast, common_type, family, string_of
from local.sqlserver.collations import check_collation, conflict
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.parsing import only
from local.sqlserver.scope import Catalogue, Scope
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

if TYPE_CHECKING:
    from local.sqlserver.queries import Query


@dataclass(slots=True)
class Variable:
    """A T-SQL variable or parameter; `value` in PostgreSQL's text format, raw bytes for binary types."""

    kind: SqlType
    value: bytes | None = None


@dataclass
class Context:
    """What a statement is translated in.

    `used` collects the variables that became `$1`, `$2`, … in that order. `globals` gives @@ROWCOUNT and the like.
    """

    catalogue: Catalogue
    variables: dict[str, Variable]
    globals: dict[str, Callable[[], Sql]] = field(default_factory=dict)
    session: dict[str, str] = field(default_factory=dict)
    used: list[str] = field(default_factory=list)

    def parameter(self, name: str) -> Sql:
        """A variable as a parameter of the PostgreSQL statement.

        Raises:
            SqlError: 137 when it is not declared.
        """
        key = name.lower()
        if key not in self.variables:
            raise SqlError(137, f'Must declare the scalar variable "@{name}".', 15)
        if key not in self.used:
            self.used.append(key)
        return Sql(f"${self.used.index(key) + 1}", self.variables[key].kind)


_ARITHMETIC: dict[type[exp.Expression], str] = {exp.Add: "+", exp.Sub: "-", exp.Mul: "*", exp.Div: "/", exp.Mod: "%"}
_BITS: dict[type[exp.Expression], str] = {exp.BitwiseAnd: "&", exp.BitwiseOr: "|", exp.BitwiseXor: "#"}


class Expressions:
    """Translates expressions of one query.

    Args:
        context: Variables and catalogue.
        scope: Names visible.
        subquery: Translates a nested query; given by `local.sqlserver.queries`.
    """

    def __init__(self, context: Context, scope: Scope, subquery: "Callable[[exp.Expression, Scope], Query]") -> None:
        self.context = context
        self.scope = scope
        self.subquery = subquery
        self.grouped: dict[str, str] = {}
        self.in_aggregate = False

    # --- values ----------------------------------------------------------------------------------------------------

    def value(self, node: exp.Expression) -> Sql:
        """Translates an expression that gives a value."""
        found = self._value(node)
        if self.grouped and not self.in_aggregate and found.text in self.grouped:
            return replace(found, text=self.grouped[found.text])
        return found

    def _value(self, node: exp.Expression) -> Sql:
        kind = type(node)
        if kind in _ARITHMETIC:
            return self._arithmetic(node, _ARITHMETIC[kind])
        if kind in _BITS:
            left, right = self.value(node.this), self.value(node.expression)
            best = higher_type(left, right, node)
            return Sql(f"({cast(left, best).text} {_BITS[kind]} {cast(right, best).text})", best)
        handler = _VALUES.get(kind)
        if handler is None:
            raise NotUnderstoodError(f"{kind.__name__}: {node.sql(dialect='tsql')}")
        return handler(self, node)

    def _column(self, node: exp.Expression) -> Sql:
        only(node, "this", "table")
        if not isinstance(node.this, exp.Identifier):
            raise NotUnderstoodError(node.sql(dialect="tsql"))
        name = node.this.name
        if not node.args.get("table") and not node.this.args.get("quoted"):
            if name.startswith("$"):
                raise NotUnderstoodError(name)
            from local.sqlserver.functions import NILADIC

            if name.upper() in NILADIC:
                return NILADIC[name.upper()](self)
        text, column = self.scope.resolve(name, node.text("table"))
        return Sql(text, column.kind, column.nullable)

    def _literal(self, node: exp.Expression) -> Sql:
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

    def _national(self, node: exp.Expression) -> Sql:
        units = len(node.this.encode("utf-16-le")) // 2
        length = units if units <= 4000 else MAX
        return Sql(
            f"{literal(node.this)}::text", nvarchar(max(1, length) if length != MAX else MAX), False, constant=node.this
        )

    def _hex(self, node: exp.Expression) -> Sql:
        digits = node.this.rjust(len(node.this) + len(node.this) % 2, "0")
        return Sql(f"decode('{digits}', 'hex')", varbinary(max(1, len(digits) // 2)), False)

    def _parameter(self, node: exp.Expression) -> Sql:
        if isinstance(node.this, exp.Parameter):
            name = node.this.this.name.upper()
            if name not in self.context.globals:
                raise NotUnderstoodError(f"@@{name}")
            return self.context.globals[name]()
        return self.context.parameter(node.this.name)

    def _null(self, node: exp.Expression) -> Sql:
        return Sql("NULL", NULL)

    def _paren(self, node: exp.Expression) -> Sql:
        inner = self.value(node.this)
        return replace(inner, text=f"({inner.text})", constant=None)

    def _negative(self, node: exp.Expression) -> Sql:
        inner = self.value(node.this)
        if not inner.kind.is_number:
            raise SqlError(8117, f"Operand data type {inner.kind.name} is invalid for minus operator.")
        if node.this.is_int and int(node.this.this) == 2**63:
            return Sql("(-9223372036854775808)::numeric", decimal(19, 0), False)
        return Sql(
            f"(-{inner.text})", inner.kind, inner.nullable, constant=f"-{inner.constant}" if inner.constant else None
        )

    def _arithmetic(self, node: exp.Expression, operator: str) -> Sql:
        left, right = self.value(node.this), self.value(node.expression)
        if operator == "+" and (left.kind.is_string or left.kind.name == "null") and right.kind.is_string:
            return self.concatenate(left, right)
        if operator == "+" and left.kind.is_string and right.kind.name == "null":
            return self.concatenate(left, right)
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

    def concatenate(self, left: Sql, right: Sql) -> Sql:
        """`+` of two strings."""
        _refuse_conflict(left, right, "add")
        kind = concatenated_type([left, right])
        narrow = [
            part if kind.is_unicode or part.ascii else cast(part, varchar(MAX, kind.collation))
            for part in (left, right)
        ]
        text = f"({narrow[0].text} || {narrow[1].text})"
        limit = 4000 if kind.is_unicode else 8000
        total = sum(part.kind.length for part in (left, right))
        if kind.length != MAX and total > limit:
            text = f"mssql.units_left({text}, {limit})"
        return Sql(text, kind, explicit=left.explicit or right.explicit, ascii=left.ascii and right.ascii)

    def _collate(self, node: exp.Expression) -> Sql:
        inner = self.value(node.this)
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

    def _cast(self, node: exp.Expression) -> Sql:
        only(node, "this", "to", "expression", "style")
        convert = isinstance(node, exp.Convert)
        wanted, inner = (node.this, node.expression) if convert else (node.args["to"], node.this)
        style = None
        if node.args.get("style") is not None:
            given = self.value(node.args["style"])
            if given.constant is None or not given.constant.lstrip("-").isdigit():
                raise NotUnderstoodError(f"a style that is no number: {node.sql(dialect='tsql')}")
            style = int(given.constant)
        return cast(self.value(inner), data_type(wanted, default_length=30), style)

    def _case(self, node: exp.Expression) -> Sql:
        only(node, "this", "ifs", "default")
        branches = [self.value(branch.args["true"]) for branch in node.args["ifs"]]
        if node.args.get("default") is not None:
            branches.append(self.value(node.args["default"]))
        kind = common_type([branch.kind for branch in branches])
        results = [cast(branch, kind).text for branch in branches]
        subject = node.this
        text = "CASE"
        for branch, result in zip(node.args["ifs"], results, strict=False):
            test = (
                self.comparison(self.value(subject), "=", self.value(branch.this))
                if subject
                else self.predicate(branch.this)
            )
            text += f" WHEN {test} THEN {result}"
        if node.args.get("default") is not None:
            text += f" ELSE {results[-1]}"
        explicit = next((branch for branch in branches if branch.explicit), None)
        if explicit:
            kind = kind.collated(explicit.kind.collation)
        plain = all(branch.ascii for branch in branches)
        return Sql(f"({text} END)", kind, explicit=explicit is not None, ascii=plain)

    def _subquery(self, node: exp.Expression) -> Sql:
        only(node, "this")
        query = self.subquery(node.this, self.scope)
        if len(query.columns) != 1:
            raise SqlError(
                116,
                "Only one expression can be specified in the select list when the subquery is not introduced with EXISTS.",
            )
        return Sql(f"({query.sql})", query.columns[0].kind)

    def _call(self, node: exp.Expression) -> Sql:
        only(node, "this", "expressions")
        return self.call(node.name, list(node.expressions), node)

    def call(self, name: str, arguments: list[exp.Expression], node: exp.Expression) -> Sql:
        """A function call."""
        from local.sqlserver.functions import FUNCTIONS

        handler = FUNCTIONS.get(name.upper())
        if handler is None:
            raise NotUnderstoodError(f"function {name.upper()}: {node.sql(dialect='tsql')}")
        try:
            return handler(self, arguments)
        except (IndexError, TypeError) as error:
            if isinstance(error, IndexError) or "argument" in str(error):
                raise SqlError(174, f"The {name.lower()} function has the wrong number of arguments.", 15) from error
            raise

    def _window(self, node: exp.Expression) -> Sql:
        only(node, "this", "partition_by", "order", "over", "alias")
        inner, order = node.this, node.args.get("order")
        name = inner.name.upper() if isinstance(inner, exp.Anonymous) else ""
        if name not in ("ROW_NUMBER", "RANK", "DENSE_RANK", "COUNT", "COUNT_BIG", "SUM", "MIN", "MAX"):
            raise NotUnderstoodError(node.sql(dialect="tsql"))
        if name in ("ROW_NUMBER", "RANK", "DENSE_RANK"):
            function = Sql(f"{name.lower()}()", BIGINT)
        else:
            function = self.call(name, list(inner.expressions), inner)
            if "::" in function.text or order:
                raise NotUnderstoodError(node.sql(dialect="tsql"))
        parts = []
        if node.args.get("partition_by"):
            keys = [self.sort_key(self.value(key)) for key in node.args["partition_by"]]
            parts.append("PARTITION BY " + ", ".join(keys))
        if order:
            parts.append("ORDER BY " + ", ".join(self.ordering(item) for item in order.expressions))
        return Sql(f"{function.text} OVER ({' '.join(parts)})", function.kind)

    # --- order -----------------------------------------------------------------------------------------------------

    def ordering(self, node: exp.Expression) -> str:
        """One item of ORDER BY; NULL is the lowest value in SQL Server."""
        descending = bool(node.args.get("desc"))
        text = self.sort_key(self.value(node.this))
        return f"{text} DESC NULLS LAST" if descending else f"{text} ASC NULLS FIRST"

    def sort_key(self, value: Sql) -> str:
        """What stands for a value in ORDER BY, GROUP BY and comparisons."""
        if not value.kind.is_string:
            return value.text
        text = value.text
        if value.constant is None or value.constant != value.constant.rstrip(" "):
            text = f"rtrim({text})"
        return f"lower({text})" if ignores_case(value, self.context) else text

    # --- conditions ------------------------------------------------------------------------------------------------

    def predicate(self, node: exp.Expression) -> str:
        """Translates a condition."""
        from local.sqlserver.predicates import CONDITIONS

        handler = CONDITIONS.get(type(node))
        if handler is None:
            raise SqlError(
                4145,
                f"An expression of non-boolean type specified in a context where a condition is expected, near '{node.sql(dialect='tsql')}'.",
                15,
            )
        return handler(self, node)

    def comparison(self, left: Sql, operator: str, right: Sql) -> str:
        """Two values compared under SQL Server's rules of precedence and collation."""
        if "null" in (left.kind.name, right.kind.name):
            return f"(({left.text})::text {operator} ({right.text})::text)"
        if left.kind.is_string and right.kind.is_string:
            _refuse_conflict(left, right, {"=": "equal to", "<>": "not equal to"}.get(operator, operator))
            winner = left if left.explicit or not right.explicit else right
            if winner.kind.collation is None and not winner.explicit:
                winner = next((side for side in (left, right) if side.kind.collation), winner)
            sides = [
                self.sort_key(replace(side, kind=side.kind.collated(winner.kind.collation))) for side in (left, right)
            ]
            return f"({sides[0]} {operator} {sides[1]})"
        if family(left.kind) != family(right.kind):
            best = higher_type(left, right, None)
            left, right = (side if family(side.kind) == family(best) else cast(side, best) for side in (left, right))
        return f"({left.text} {operator} {right.text})"


_Value = Callable[[Expressions, exp.Expression], Sql]
_VALUES: dict[type[exp.Expression], _Value] = {
    exp.Column: Expressions._column,
    exp.Literal: Expressions._literal,
    exp.National: Expressions._national,
    exp.HexString: Expressions._hex,
    exp.Parameter: Expressions._parameter,
    exp.Null: Expressions._null,
    exp.Paren: Expressions._paren,
    exp.Neg: Expressions._negative,
    exp.Collate: Expressions._collate,
    exp.Cast: Expressions._cast,
    exp.Convert: Expressions._cast,
    exp.Case: Expressions._case,
    exp.Subquery: Expressions._subquery,
    exp.Anonymous: Expressions._call,
    exp.Window: Expressions._window,
}


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


def _refuse_conflict(left: Sql, right: Sql, operation: str) -> None:
    """Two columns of different collations cannot be compared unless COLLATE says how."""
    one, other = left.kind.collation, right.kind.collation
    if one and other and one.lower() != other.lower() and not (left.explicit or right.explicit):
        raise conflict(one, other, operation)


def ignores_case(value: Sql, context: Context) -> bool:
    """Whether a comparison of this string ignores case; without a collation the database's decides."""
    kind = value.kind
    if kind.collation is None:
        kind = kind.collated(context.session.get("collation"))
    return kind.ignores_case


def concatenated_type(parts: list[Sql]) -> SqlType:
    """The type of strings put together."""
    strings = [string_of(part) for part in parts if part.kind.name != "null"]
    unicode = any(part.kind.is_unicode for part in strings)
    limit = 4000 if unicode else 8000
    total = (
        MAX
        if any(part.kind.length == MAX for part in strings)
        else min(limit, sum(part.kind.length for part in strings))
    )
    chosen = next((part for part in strings if part.explicit), None) or next(
        (part for part in strings if part.kind.collation), None
    )
    collation = chosen.kind.collation if chosen else None
    return SqlType("nvarchar" if unicode else "varchar", total or 1, collation=collation)
