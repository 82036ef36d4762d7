from datetime import date
from decimal import Decimal

import pyarrow as pa
import pytest

from shared.copying.arrow import Conversion, ValueOutOfRange
from shared.databaseplan import PlannedColumn


def conversion(kind):
    return Conversion([PlannedColumn(name="c", source_name="c", source_type="x", type=kind)])


def converted(kind, array):
    done = conversion(kind)(pa.RecordBatch.from_arrays([array], names=["c"]))
    return done.batch.column(0), done.rounded


@pytest.mark.parametrize(
    ("micros", "kept", "rounded"),
    [
        (0, 0, 0),
        (499, 0, 1),
        (500, 1000, 1),
        (123_000, 123_000, 0),
        (123_456, 123_000, 1),
        (123_500, 124_000, 1),
        (999_999, 1_000_000, 1),
        (-1, 0, 1),
        (-500, 0, 1),
        (-501, -1000, 1),
        (-123_456, -123_000, 1),
        (-1000, -1000, 0),
    ],
)
def test_timestamps_are_rounded_half_up_to_milliseconds_before_and_after_1970(micros, kept, rounded):
    array, count = converted("datetime2(3)", pa.array([micros, None], pa.int64()).cast(pa.timestamp("us")))
    assert array.cast(pa.int64()).to_pylist() == [kept, None]
    assert count == rounded


def test_timestamps_keep_their_microseconds_where_the_column_keeps_them():
    values = pa.array([123_456], pa.int64()).cast(pa.timestamp("us"))
    array, count = converted("datetime2(7)", values)
    assert array.cast(pa.int64()).to_pylist() == [123_456]
    assert count == 0


def test_timestamps_with_a_zone_become_utc():
    array, _ = converted("datetime2(3)", pa.array([1000], pa.int64()).cast(pa.timestamp("us", "UTC")))
    assert array.type == pa.timestamp("us")


@pytest.mark.parametrize(
    "wrapped", [-9222425352054775809, -9222425352054775808, 253_402_300_800_000_000, -62_135_596_800_000_001]
)
def test_infinity_as_adbc_wraps_it_and_years_beyond_9999_are_refused(wrapped):
    micros = wrapped if wrapped >= -(2**63) else wrapped + 2**64
    with pytest.raises(ValueOutOfRange, match="column c: expected a timestamp from the year 1 to 9999"):
        converted("datetime2(6)", pa.array([micros], pa.int64()).cast(pa.timestamp("us")))


def test_the_last_millisecond_of_9999_is_kept_and_what_rounds_beyond_it_is_refused():
    last = 253_402_300_799_999_000
    array, _ = converted("datetime2(3)", pa.array([last], pa.int64()).cast(pa.timestamp("us")))
    assert array.cast(pa.int64()).to_pylist() == [last]
    with pytest.raises(ValueOutOfRange):
        converted("datetime2(3)", pa.array([last + 500], pa.int64()).cast(pa.timestamp("us")))


def test_numerics_that_arrive_as_text_become_decimals_of_the_columns_scale():
    array, _ = converted("decimal(28,8)", pa.array(["1.5", "-0.00000001", "99999999999999999999.99999999", None]))
    assert array.type == pa.decimal128(28, 8)
    assert array.to_pylist() == [
        Decimal("1.50000000"),
        Decimal("-0.00000001"),
        Decimal("99999999999999999999.99999999"),
        None,
    ]


@pytest.mark.parametrize("text", ["nan", "inf", "100000000000000000000", "1.123456789"])
def test_a_numeric_that_the_column_cannot_hold_is_refused_by_column_name(text):
    with pytest.raises(ValueOutOfRange, match="column c: "):
        converted("decimal(28,8)", pa.array([text]))


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_float_that_is_no_number_is_refused(value):
    with pytest.raises(ValueOutOfRange, match="NaN or infinity"):
        converted("float", pa.array([1.0, value, None]))


def test_dates_outside_the_calendar_are_refused():
    array, _ = converted("date", pa.array([date(1, 1, 1), date(9999, 12, 31), None]))
    assert array.to_pylist() == [date(1, 1, 1), date(9999, 12, 31), None]
    with pytest.raises(ValueOutOfRange, match="a date"):
        converted("date", pa.array([2_932_897], pa.int32()).cast(pa.date32()))


def test_small_integers_widen_and_too_large_ones_are_refused():
    array, _ = converted("bigint", pa.array([1, None], pa.int32()))
    assert array.type == pa.int64()
    with pytest.raises(ValueOutOfRange):
        converted("int", pa.array([2**31], pa.int64()))


def test_extra_columns_are_left_out_and_the_plans_order_is_kept():
    columns = [PlannedColumn(name=name, source_name=name, source_type="bigint", type="bigint") for name in ("b", "a")]
    batch = pa.RecordBatch.from_arrays([pa.array([1]), pa.array([2]), pa.array([3])], names=["a", "x", "b"])
    assert Conversion(columns)(batch).batch.to_pydict() == {"b": [3], "a": [1]}
