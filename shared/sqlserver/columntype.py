"""A column type as our DDL writes it, taken apart: `decimal(28,8)`, `nvarchar(max)`, `datetime2(3)`."""

import re
from dataclasses import dataclass
from typing import Literal

from shared.errors import Refusal

Kind = Literal[
    "bigint", "int", "smallint", "tinyint", "bit", "decimal", "float", "real",
    "datetime2", "date", "nvarchar", "varchar", "varbinary", "uniqueidentifier",
]  # fmt: skip

_KINDS: dict[str, Kind] = {
    "bigint": "bigint", "int": "int", "smallint": "smallint", "tinyint": "tinyint", "bit": "bit",
    "decimal": "decimal", "numeric": "decimal", "float": "float", "real": "real",
    "datetime2": "datetime2", "date": "date", "nvarchar": "nvarchar", "nchar": "nvarchar",
    "varchar": "varchar", "char": "varchar", "varbinary": "varbinary", "uniqueidentifier": "uniqueidentifier",
}  # fmt: skip
_FORM = re.compile(r"\s*([a-z0-9]+)\s*(?:\(\s*(max|\d+)\s*(?:,\s*(\d+)\s*)?\))?", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class ColumnType:
    """Kind, size and scale of a target column.

    `size` is UTF-16 units of nvarchar, bytes of varbinary, the precision of decimal; None for `max` and where there is
    none. `scale` is the digits after the point of decimal, and of the seconds of datetime2.
    """

    kind: Kind
    size: int | None = None
    scale: int = 0

    @property
    def textual(self) -> bool:
        """Whether the column holds text."""
        return self.kind in ("nvarchar", "varchar")

    @property
    def unlimited(self) -> bool:
        """Whether values may be as large as gigabytes: nvarchar(max), varbinary(max)."""
        return (self.textual or self.kind == "varbinary") and self.size is None

    @property
    def integral(self) -> bool:
        """Whether the column holds whole numbers (bit is not one of them)."""
        return self.kind in ("bigint", "int", "smallint", "tinyint")


def parse(declared: str) -> ColumnType:
    """Take a declared type apart; Refusal UNKNOWN_TYPE for one that neither copy nor verification knows."""
    found = _FORM.match(declared)
    kind = _KINDS.get(found.group(1).lower()) if found else None
    if found is None or kind is None:
        raise Refusal(
            "UNKNOWN_TYPE",
            declared,
            f"expected one of {', '.join(sorted(_KINDS))}, found {declared}.",
            "Report the type: copy and verification need a rule for it.",
        )
    first, second = found.group(2), found.group(3)
    if kind == "decimal":
        return ColumnType(kind, int(first or 18), int(second or 0))
    if kind == "datetime2":
        return ColumnType(kind, None, int(first) if first is not None else 7)
    return ColumnType(kind, None if first is None or first.lower() == "max" else int(first))
