"""The row hash, order-independent and bucketed: both engines add up the hashes of their rows, bucket by bucket.

Equal counts and sums in every bucket mean equal rows, whatever their order: a changed, missing, additional or doubled
row changes its bucket's sum by that row's hash.
"""

from shared.copying.reading import identifier
from shared.sqlserver.connection import quote
from shared.verification.canonical import postgres_hash, tsql_hash
from shared.verification.slicesides import Row, Sides

BUCKETS = 64
NOTHING = (0, 0)


def source_buckets(sides: Sides) -> list[Row]:
    """Return bucket, rows and sum of hashes in PostgreSQL."""
    key = sides.number_key
    bucket = f"{identifier(key[0])} % {BUCKETS}" if key else "NULL::bigint"
    inner = sides.source_sql(f"{bucket} AS mxferry_bucket, {postgres_hash(sides.fields)} AS mxferry_hash")
    outer = "mxferry_bucket" if key else f"mxferry_hash % {BUCKETS}"
    return sides.run_source(
        f"SELECT {outer}, count(*), sum(mxferry_hash) FROM ({inner}) AS hashed GROUP BY 1"  # noqa: S608
    )


def target_buckets(sides: Sides) -> list[Row]:
    """Return bucket, rows and sum of hashes on the target."""
    key = sides.number_key
    source, bounds = sides.target_from()
    total = "COUNT_BIG(*), SUM(CONVERT(decimal(38, 0), [hash]))"
    hashed = f"{tsql_hash(sides.fields)} AS [hash] {source}"
    if key:
        inner = f"SELECT {quote(key[1])} % {BUCKETS} AS [bucket], {hashed}"
        statement = f"SELECT [bucket], {total} FROM ({inner}) AS [hashed] GROUP BY [bucket]"  # noqa: S608
    else:
        bucket = f"[hash] % {BUCKETS}"
        statement = f"SELECT {bucket}, {total} FROM (SELECT {hashed}) AS [hashed] GROUP BY {bucket}"  # noqa: S608
    return sides.run_target(statement, bounds)


def differing_buckets(source: list[Row], target: list[Row]) -> dict[int, int]:
    """Return the buckets whose count or sum differs, in order, with the rows of the larger side."""
    left = {int(bucket): (int(count), int(total)) for bucket, count, total in source}
    right = {int(bucket): (int(count), int(total)) for bucket, count, total in target}
    return {
        bucket: max(left.get(bucket, NOTHING)[0], right.get(bucket, NOTHING)[0])
        for bucket in sorted(left.keys() | right.keys())
        if left.get(bucket) != right.get(bucket)
    }
