"""T-SQL types: how they are declared, stored in PostgreSQL, described on the wire and given back as cells.

Values travel through the stand-in in PostgreSQL's text format (bytes), except binary values that are parameters. The
wire layouts are those of [MS-TDS] 2.2.5.4 (type definitions) and 2.2.5.5 (values).
"""

import struct
from dataclasses import dataclass, replace

MAX = -1
DEFAULT_COLLATION = "SQL_Latin1_General_CP1_CI_AS"

INTEGERS = {"bigint": 8, "int": 4, "smallint": 2, "tinyint": 1}
UNICODE = ("nvarchar", "nchar")
NARROW = ("varchar", "char")
STRINGS = UNICODE + NARROW
BINARY = ("varbinary", "binary")
MOMENTS = ("datetime2", "datetime", "smalldatetime", "date", "time")

# Data type precedence, highest first (learn.microsoft.com: "Data type precedence (Transact-SQL)").
_BY_PRECEDENCE = (
    "datetime2 datetime smalldatetime date time float real decimal money bigint int smallint tinyint bit "
    "uniqueidentifier nvarchar nchar varchar char varbinary binary null"
)
PRECEDENCE = _BY_PRECEDENCE.split()

# T-SQL name → PostgreSQL type and its OID.
STORED = {
    "bigint": ("int8", 20),
    "int": ("int4", 23),
    "smallint": ("int2", 21),
    "tinyint": ("int2", 21),
    "bit": ("int2", 21),
    "decimal": ("numeric", 1700),
    "money": ("numeric", 1700),
    "float": ("float8", 701),
    "real": ("float4", 700),
    "datetime2": ("timestamp", 1114),
    "datetime": ("timestamp", 1114),
    "smalldatetime": ("timestamp", 1114),
    "date": ("date", 1082),
    "time": ("time", 1083),
    "nvarchar": ("text", 25),
    "varchar": ("text", 25),
    "nchar": ("text", 25),
    "char": ("text", 25),
    "varbinary": ("bytea", 17),
    "binary": ("bytea", 17),
    "uniqueidentifier": ("uuid", 2950),
    "null": ("text", 25),
}


@dataclass(frozen=True, slots=True)
class SqlType:
    """A T-SQL type.

    `length` counts UTF-16 units for nvarchar and nchar, bytes for varchar, char, varbinary and binary; -1 is `max`.
    `scale` is the number of fractional digits of decimals and of seconds.
    """

    name: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    collation: str | None = None

    @property
    def is_string(self) -> bool:
        """Whether the type holds characters."""
        return self.name in STRINGS

    @property
    def is_unicode(self) -> bool:
        """Whether the type holds UTF-16."""
        return self.name in UNICODE

    @property
    def is_binary(self) -> bool:
        """Whether the type holds bytes."""
        return self.name in BINARY

    @property
    def is_integer(self) -> bool:
        """Whether the type is bit, tinyint, smallint, int or bigint."""
        return self.name in INTEGERS or self.name == "bit"

    @property
    def is_number(self) -> bool:
        """Whether arithmetic may be done with it."""
        return self.is_integer or self.name in ("decimal", "money", "float", "real")

    @property
    def is_moment(self) -> bool:
        """Whether the type holds a date, a time or both."""
        return self.name in MOMENTS

    @property
    def is_utf8(self) -> bool:
        """Whether a varchar of this type is UTF-8 rather than a code page."""
        return bool(self.collation and self.collation.upper().endswith("UTF8"))

    @property
    def ignores_case(self) -> bool:
        """Whether comparisons under the type's collation ignore case (absent: the database's default does)."""
        parts = (self.collation or DEFAULT_COLLATION).upper().split("_")
        return self.is_string and "CI" in parts

    @property
    def pg(self) -> str:
        """The PostgreSQL type it is stored as, with modifiers where PostgreSQL enforces them."""
        name = STORED[self.name][0]
        if name == "numeric":
            return f"numeric({self.precision},{self.scale})"
        if self.name == "datetime":
            return "timestamp(3)"
        if self.name == "smalldatetime":
            return "timestamp(0)"
        if self.name in ("datetime2", "time"):
            return f"{name}({min(self.scale, 6)})"
        return name

    @property
    def oid(self) -> int:
        """The OID of the PostgreSQL type."""
        return STORED[self.name][1]

    def collated(self, collation: str | None) -> "SqlType":
        """The same type under another collation."""
        return replace(self, collation=collation)

    def declared(self) -> str:
        """The type as T-SQL writes it, without its collation."""
        if self.name in STRINGS + BINARY:
            return f"{self.name}({'max' if self.length == MAX else self.length})"
        if self.name == "decimal":
            return f"decimal({self.precision},{self.scale})"
        if self.name in ("datetime2", "time"):
            return f"{self.name}({self.scale})"
        return self.name

    def bytes_stored(self) -> int:
        """`max_length` as sys.columns tells it: bytes, -1 for max."""
        if self.name in UNICODE:
            return MAX if self.length == MAX else 2 * self.length
        if self.name in NARROW + BINARY:
            return self.length
        return fixed_size(self)


BIGINT = SqlType("bigint", precision=19)
INT = SqlType("int", precision=10)
SMALLINT = SqlType("smallint", precision=5)
TINYINT = SqlType("tinyint", precision=3)
BIT = SqlType("bit", precision=1)
FLOAT = SqlType("float", precision=53)
REAL = SqlType("real", precision=24)
DATETIME = SqlType("datetime", precision=23, scale=3)
SMALLDATETIME = SqlType("smalldatetime", precision=16)
DATE = SqlType("date", precision=10)
UNIQUEIDENTIFIER = SqlType("uniqueidentifier")
MONEY = SqlType("money", precision=19, scale=4)
NULL = SqlType("null")
SYSNAME = SqlType("nvarchar", 128)
SIMPLE = {
    kind.name: kind
    for kind in (
        BIGINT,
        INT,
        SMALLINT,
        TINYINT,
        BIT,
        FLOAT,
        REAL,
        DATETIME,
        SMALLDATETIME,
        DATE,
        UNIQUEIDENTIFIER,
        MONEY,
    )
}


def datetime2(scale: int) -> SqlType:
    """datetime2(scale)."""
    return SqlType("datetime2", precision=19 if not scale else 20 + scale, scale=scale)


def decimal(precision: int, scale: int) -> SqlType:
    """decimal(precision, scale)."""
    return SqlType("decimal", precision=precision, scale=scale)


def nvarchar(length: int, collation: str | None = None) -> SqlType:
    """nvarchar(length), length in UTF-16 units or MAX."""
    return SqlType("nvarchar", length, collation=collation)


def varchar(length: int, collation: str | None = None) -> SqlType:
    """varchar(length), length in bytes or MAX."""
    return SqlType("varchar", length, collation=collation)


def varbinary(length: int) -> SqlType:
    """varbinary(length), length in bytes or MAX."""
    return SqlType("varbinary", length)


SYNONYMS = {
    "integer": "int",
    "dec": "decimal",
    "numeric": "decimal",
    "character": "char",
    "varying": "varchar",
    "sysname": "nvarchar",
}


class UnknownTypeError(ValueError):
    """The stand-in does not hold values of this type."""


def make_type(name: str, arguments: list[str], *, default_length: int = 1) -> SqlType:
    """The type that `name(arguments)` declares.

    Args:
        name: Type name in any case.
        arguments: What stands between the parentheses: digits, or `max`.
        default_length: Of strings and binaries without a length: 1 in a declaration, 30 in CAST and CONVERT.

    Raises:
        UnknownTypeError: The name or the arguments are not served.
    """
    lowered = name.lower()
    if lowered == "sysname" and not arguments:
        return SYSNAME
    lowered = SYNONYMS.get(lowered, lowered)
    try:
        return _make(lowered, [argument.lower() for argument in arguments], default_length)
    except (ValueError, IndexError) as error:
        raise UnknownTypeError(f"{name}({', '.join(arguments)})" if arguments else name) from error


def _make(name: str, arguments: list[str], default_length: int) -> SqlType:
    if name in STRINGS + BINARY:
        length = default_length if not arguments else MAX if arguments == ["max"] else int(*arguments)
        limit = 4000 if name in UNICODE else 8000
        if not (1 <= length <= limit or (length == MAX and name.startswith(("nvar", "var")))):
            raise ValueError(length)
        return SqlType(name, length)
    numbers = [int(argument) for argument in arguments]
    if name == "decimal":
        precision, scale = (numbers + [18, 0][len(numbers) :]) if len(numbers) < 3 else (0, 0)
        if not (1 <= precision <= 38 and 0 <= scale <= precision):
            raise ValueError(precision)
        return decimal(precision, scale)
    if name in ("datetime2", "time"):
        scale = numbers[0] if numbers else 7
        if not 0 <= scale <= 7 or len(numbers) > 1:
            raise ValueError(scale)
        return datetime2(scale) if name == "datetime2" else SqlType("time", precision=9 + scale, scale=scale)
    if name == "float" and len(numbers) == 1:
        return REAL if 1 <= numbers[0] <= 24 else FLOAT
    if numbers or name not in SIMPLE:
        raise ValueError(name)
    return SIMPLE[name]


def fixed_size(kind: SqlType) -> int:
    """Bytes a value of a fixed-length type takes, as DATALENGTH and sys.columns tell."""
    if kind.name in INTEGERS:
        return INTEGERS[kind.name]
    if kind.name == "decimal":
        return 1 + decimal_bytes(kind.precision)
    if kind.name == "datetime2":
        return time_bytes(kind.scale) + 3
    if kind.name == "time":
        return time_bytes(kind.scale)
    sizes = {"bit": 1, "float": 8, "real": 4, "datetime": 8, "smalldatetime": 4, "date": 3, "money": 8}
    return sizes.get(kind.name, 16)


def decimal_bytes(precision: int) -> int:
    """Bytes of the magnitude of a decimal."""
    return 4 if precision <= 9 else 8 if precision <= 19 else 12 if precision <= 28 else 16


def time_bytes(scale: int) -> int:
    """Bytes of the time part of datetime2(scale) and time(scale)."""
    return 3 if scale <= 2 else 4 if scale <= 4 else 5


# --- collations on the wire -----------------------------------------------------------------------------------------

_IGNORE = {"CI": 1 << 20, "AI": 1 << 21}


def collation_bytes(name: str | None) -> bytes:
    """The five bytes of [MS-TDS] COLLATION. Only the flags are exact; the locale is always 0x0409."""
    parts = (name or DEFAULT_COLLATION).upper().split("_")
    flags = 0x409
    for part in parts:
        flags |= _IGNORE.get(part, 0)
    if not {"BIN", "BIN2"} & set(parts):
        flags |= (0 if "WS" in parts else 1 << 22) | (0 if "KS" in parts else 1 << 23)
    flags |= (1 << 24 if "BIN" in parts else 0) | (1 << 25 if "BIN2" in parts else 0)
    flags |= (1 << 26 if parts[-1] == "UTF8" else 0) | (2 << 28 if {"100", "140"} & set(parts) else 0)
    return struct.pack("<IB", flags, 0x34 if parts[0] == "SQL" else 0)


# --- TYPE_INFO ------------------------------------------------------------------------------------------------------

_VARIABLE = {"nvarchar": 0xE7, "nchar": 0xEF, "varchar": 0xA7, "char": 0xAF, "varbinary": 0xA5, "binary": 0xAD}
_BYTE_LENGTH = {
    "bigint": b"\x26\x08",
    "int": b"\x26\x04",
    "smallint": b"\x26\x02",
    "tinyint": b"\x26\x01",
    "bit": b"\x68\x01",
    "float": b"\x6d\x08",
    "real": b"\x6d\x04",
    "datetime": b"\x6f\x08",
    "smalldatetime": b"\x6f\x04",
    "date": b"\x28",
    "uniqueidentifier": b"\x24\x10",
    "money": b"\x6e\x08",
    "null": b"\x26\x04",
}


NEVER_NULL = {
    "bigint": b"\x7f",
    "int": b"\x38",
    "smallint": b"\x34",
    "tinyint": b"\x30",
    "bit": b"\x32",
    "float": b"\x3e",
    "real": b"\x3b",
    "datetime": b"\x3d",
    "smalldatetime": b"\x3a",
    "money": b"\x3c",
}


def type_info(kind: SqlType, *, nullable: bool = True) -> bytes:
    """TYPE_INFO of a column or a return value; some types have another one when they cannot be NULL."""
    if not nullable and kind.name in NEVER_NULL:
        return NEVER_NULL[kind.name]
    if kind.name in _BYTE_LENGTH:
        return _BYTE_LENGTH[kind.name]
    if kind.name == "decimal":
        return bytes([0x6A, 1 + decimal_bytes(kind.precision), kind.precision, kind.scale])
    if kind.name == "datetime2":
        return bytes([0x2A, kind.scale])
    if kind.name == "time":
        return bytes([0x29, kind.scale])
    size = 0xFFFF if kind.length == MAX else kind.bytes_stored()
    info = bytes([_VARIABLE[kind.name]]) + struct.pack("<H", size)
    return info if kind.is_binary else info + collation_bytes(kind.collation)
