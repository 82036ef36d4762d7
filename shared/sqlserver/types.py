"""PostgreSQL types and Mendix attribute types as SQL Server types.

Where a column belongs to a Mendix attribute, the attribute decides, because the runtime compares the target's schema
with the model and would otherwise alter the column at its first start. The types are those of the runtime's own SQL
Server scripts: https://docs.mendix.com/refguide/data-types/ and the DDL it writes at synchronisation.
"""

import re
from dataclasses import dataclass

NVARCHAR_LIMIT = 4000
"""Longest n of nvarchar(n), in UTF-16 units; longer strings are nvarchar(max)."""
DECIMAL_LIMIT = 38
MENDIX_DECIMAL = (28, 8)

AUTO_NUMBER, CURRENCY, FLOAT, INTEGER, LONG, DECIMAL, BOOLEAN, DATE_TIME, STRING, ENUMERATION, BINARY = (
    0, 1, 2, 3, 4, 5, 10, 20, 30, 40, 50,
)  # fmt: skip

_FIXED = {
    "bigint": "bigint",
    "integer": "int",
    "smallint": "smallint",
    "boolean": "bit",
    "double precision": "float",
    "real": "real",
    "timestamp without time zone": "datetime2(3)",
    "timestamp with time zone": "datetime2(3)",
    "date": "date",
    "bytea": "varbinary(max)",
    "text": "nvarchar(max)",
}
_BY_CODE = {
    AUTO_NUMBER: ("bigint", {"bigint", "integer"}),
    CURRENCY: ("float", {"double precision", "real"}),
    FLOAT: ("float", {"double precision", "real"}),
    INTEGER: ("int", {"integer"}),
    LONG: ("bigint", {"bigint", "integer"}),
    DECIMAL: ("decimal(28,8)", {"numeric"}),
    BOOLEAN: ("bit", {"boolean"}),
    DATE_TIME: ("datetime2(3)", {"timestamp without time zone"}),
    BINARY: ("varbinary(max)", {"bytea"}),
}
_STRINGS = {"character varying", "text"}
_FORM = re.compile(
    r"^(?P<base>[a-z ]+?)(?:\((?P<first>\d+)(?:,(?P<second>-?\d+))?\))?(?P<rest> with(?:out)? time zone)?$"
)


@dataclass(frozen=True)
class TypeParts:
    """A type as format_type() or the DDL says it, taken apart: base, and the numbers in brackets."""

    base: str
    numbers: tuple[int, ...] = ()


def parts(type_name: str) -> TypeParts:
    """Take a type apart: `timestamp(3) without time zone` is the base `timestamp without time zone` and (3,)."""
    found = _FORM.match(type_name)
    if found is None:
        return TypeParts(type_name)
    numbers = tuple(int(number) for number in found.group("first", "second") if number is not None)
    return TypeParts(found["base"] + (found["rest"] or ""), numbers)


def by_postgres_type(source_type: str) -> str | None:
    """Return the SQL Server type of a column that belongs to no attribute, or None when we know none."""
    source = parts(source_type)
    if source.base in _FIXED:
        return _FIXED[source.base]
    if source.base == "character varying":
        return nvarchar(source.numbers[0]) if source.numbers else "nvarchar(max)"
    if source.base == "numeric":
        precision, scale = (*source.numbers, 0)[:2] if source.numbers else MENDIX_DECIMAL
        return f"decimal({precision},{scale})" if 0 <= scale <= precision <= DECIMAL_LIMIT else None
    return None


def by_attribute(code: int, length: int, source_type: str) -> str | None:
    """Return the SQL Server type of an attribute, or None when code and PostgreSQL type do not belong together."""
    base = parts(source_type).base
    if code in (STRING, ENUMERATION):
        return nvarchar(length) if base in _STRINGS else None
    target, sources = _BY_CODE.get(code, (None, set[str]()))
    return target if base in sources else None


def nvarchar(length: int) -> str:
    """Return `nvarchar(n)`; length 0 is Mendix' unlimited, and nothing over 4000 exists."""
    return f"nvarchar({length})" if 1 <= length <= NVARCHAR_LIMIT else "nvarchar(max)"


def is_string(target_type: str) -> bool:
    """Whether a target type is a string, that is: has a collation."""
    return target_type.startswith("nvarchar")


def is_unlimited(target_type: str) -> bool:
    """Whether a target type cannot be part of a key."""
    return target_type.endswith("(max)")


def string_length(target_type: str) -> int | None:
    """Return n of `nvarchar(n)` in UTF-16 units; None for nvarchar(max) and for everything else."""
    target = parts(target_type)
    return target.numbers[0] if target.base == "nvarchar" and target.numbers else None


def key_bytes(target_type: str) -> int:
    """Return the most bytes a column of that type takes in an index key; 0 for an unlimited one."""
    length = string_length(target_type)
    if length is not None:
        return 2 * length
    return {"bit": 1, "int": 4, "smallint": 2, "real": 4, "datetime2(3)": 7, "date": 3}.get(
        target_type, 0 if is_unlimited(target_type) else 17 if target_type.startswith("decimal") else 8
    )
