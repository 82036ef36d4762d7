"""From what ADBC reads to what the target's columns take, batch by batch, in Arrow.

Three things must be done here and not left to the driver: numerics arrive as text and become decimals; timestamps are
rounded to the digits the column keeps (the driver would truncate them); and a timestamp that PostgreSQL holds as
infinity arrives as a wrapped number (the ADBC driver adds the epochs without a check), so the range is checked.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from shared.databaseplan import PlannedColumn
from shared.sqlserver.columntype import ColumnType, parse

# datetime2 and date hold the years 1 to 9999 (https://learn.microsoft.com/sql/t-sql/data-types/datetime2-transact-sql).
FIRST_MICROSECOND = -62_135_596_800_000_000
LAST_MICROSECOND = 253_402_300_799_999_999
FIRST_DAY = -719_162
LAST_DAY = 2_932_896

_PLAIN: dict[str, pa.DataType] = {
    "bigint": pa.int64(), "int": pa.int32(), "smallint": pa.int16(), "tinyint": pa.uint8(), "bit": pa.bool_(),
    "float": pa.float64(), "real": pa.float32(), "nvarchar": pa.string(), "varchar": pa.string(),
    "varbinary": pa.binary(), "date": pa.date32(),
}  # fmt: skip

_VALUE = re.compile(r"'.*'|(?<=value )-?\d[\d.e+-]*", re.DOTALL)  # as pyarrow's errors quote it


class ValueOutOfRange(ValueError):  # noqa: N818 - it is a value that is out of range
    """A value that the target column cannot hold; its row is found by halving."""


@dataclass(frozen=True, slots=True)
class Converted:
    """A batch as the target takes it, and how many of its timestamps were rounded."""

    batch: pa.RecordBatch
    rounded: int


class Conversion:
    """Converts batches of one planned table; the columns keep the plan's order."""

    def __init__(self, columns: Sequence[PlannedColumn]) -> None:
        self._columns = [(column.name, parse(column.type)) for column in columns]
        self.schema = pa.schema([pa.field(name, arrow_type(kind)) for name, kind in self._columns])

    def __call__(self, batch: pa.RecordBatch) -> Converted:
        """Convert a batch; raises `ValueOutOfRange` or pyarrow's ArrowInvalid when a value does not fit."""
        arrays: list[pa.Array] = []
        rounded = 0
        for name, kind in self._columns:
            try:
                array, changed = _convert(batch.column(name), kind)
            except (pa.ArrowInvalid, ValueOutOfRange) as error:
                raise ValueOutOfRange(f"column {name}: {_VALUE.sub('(not shown)', str(error))}") from None
            arrays.append(array)
            rounded += changed
        return Converted(pa.RecordBatch.from_arrays(arrays, schema=self.schema), rounded)


def arrow_type(kind: ColumnType) -> pa.DataType:
    """Return the Arrow type from which the bulk load takes a target type without converting it once more."""
    if kind.kind == "decimal":
        return pa.decimal128(kind.size or 18, kind.scale)
    if kind.kind == "datetime2":
        return pa.timestamp("us")
    return _PLAIN.get(kind.kind, pa.string())


def _convert(array: pa.Array, kind: ColumnType) -> tuple[pa.Array, int]:
    if isinstance(array, pa.ExtensionArray):
        array = array.storage
    if kind.kind == "datetime2":
        return _rounded(array.cast(pa.timestamp("us")), kind.scale)
    if kind.kind == "date":
        days = array.cast(pa.date32())
        _check(days.cast(pa.int32()), FIRST_DAY, LAST_DAY, "a date")
        return days, 0
    if kind.kind in ("float", "real"):
        _finite(array)
    wanted = arrow_type(kind)
    return (array if array.type == wanted else array.cast(wanted)), 0


def _rounded(array: pa.Array, digits: int) -> tuple[pa.Array, int]:
    """Round timestamps half up to `digits` of a second, and count those that changed.

    Half up, also before 1970: the same moment is rounded the same way whatever the epoch.
    """
    values = array.cast(pa.int64())
    changed = 0
    if digits < 6:
        unit = 10 ** (6 - digits)
        shifted = pc.add(values, pa.scalar(unit // 2, pa.int64()))
        below = pc.subtract(shifted, _modulo(shifted, unit))
        changed = pc.sum(pc.not_equal(below, values)).as_py() or 0
        values = below
    _check(values, FIRST_MICROSECOND, LAST_MICROSECOND, "a timestamp")
    return values.cast(pa.timestamp("us")), changed


def _modulo(values: pa.Array, unit: int) -> pa.Array:
    """Return the remainder of a division that rounds down, 0 to `unit - 1` for negative values too."""
    whole = pc.divide(values, pa.scalar(unit, pa.int64()))  # rounds towards zero
    rest = pc.subtract(values, pc.multiply(whole, pa.scalar(unit, pa.int64())))
    return pc.if_else(pc.less(rest, 0), pc.add(rest, pa.scalar(unit, pa.int64())), rest)


def _check(values: pa.Array, low: int, high: int, what: str) -> None:
    bounds = pc.min_max(values).as_py()
    if bounds["min"] is not None and (bounds["min"] < low or bounds["max"] > high):
        raise ValueOutOfRange(f"expected {what} from the year 1 to 9999, found one before or after, or infinity.")


def _finite(array: pa.Array) -> None:
    if pc.any(pc.invert(pc.is_finite(array))).as_py():
        raise ValueOutOfRange("expected a finite number, found NaN or infinity.")
