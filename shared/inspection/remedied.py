"""PostgreSQL expressions that carry out a remedy: read instead of the column, by copy and verification alike."""

from psycopg import sql

from shared.copying.reading import identifier
from shared.databaseplan import PlannedColumn
from shared.inspection import values
from shared.inspection.identities import object_counter, random_bits
from shared.mendix.ids import BLOCK, SHORT_ID_SHIFT
from shared.mendix.metadata import Metadata, physical
from shared.sqlserver.columntype import parse

ASTRAL = "char_length(regexp_replace(left({0}, k), '[^\\U00010000-\\U0010FFFF]', '', 'g'))"


def without_bad_value(column: PlannedColumn, code: str, chosen: str) -> str:
    """Return the expression of a column with the values of a finding replaced as chosen."""
    base = f"({column.expression})" if column.expression else identifier(column.source_name)
    target = parse(column.type)
    if code == values.TOO_LONG.code:
        return _truncated(base, target.size or 0)
    if code == values.SCALE.code:
        return f"round({base}, {target.scale})"
    if code == values.DATE.code and chosen == "clamp":
        return (
            f"CASE WHEN {base} < '{values.FIRST_DATE}' THEN '{values.FIRST_DATE}' "
            f"WHEN {values.out_of_range(base, target.kind)} THEN '{values.LAST_DATE}' ELSE {base} END"
        )
    if code == values.DATE.code:
        bad = values.out_of_range(base, target.kind)
    elif code == values.OVERFLOW.code:
        bad = values.overflows(base, target.size or 38, target.scale)
    elif target.kind == "decimal":
        bad = values.not_finite_decimal(base)
    else:
        bad = values.not_finite_float(base, target.kind)
    return f"CASE WHEN {bad} THEN {'0' if chosen == 'zero' else 'NULL'} ELSE {base} END"


def _truncated(base: str, size: int) -> str:
    """Return the longest beginning of a string that takes at most `size` UTF-16 units."""
    longest = (
        f"SELECT left({base}, max(k)) FROM generate_series({size // 2}, {size}) AS k "  # noqa: S608
        f"WHERE k + {ASTRAL.format(base)} <= {size}"
    )
    return f"CASE WHEN {values.too_long(base, size)} THEN ({longest}) ELSE {base} END"


def raised_sequence(column: PlannedColumn, guid: str, metadata: Metadata) -> str:
    """Return object_sequence with one entity's value raised to the block after its largest id."""
    base = column.expression or '"object_sequence"'
    identifier_row = next(one for one in metadata.identifiers if one.id == guid)
    entity = metadata.entity_by_id[guid]
    while entity.superentity_id in metadata.entity_by_id:
        entity = metadata.entity_by_id[entity.superentity_id or ""]
    largest = (
        f"SELECT max({object_counter(random_bits(metadata))}) FROM public.{identifier(physical(entity.table))} "  # noqa: S608
        f"WHERE id >> {SHORT_ID_SHIFT} = {identifier_row.short_id}"
    )
    raised = f"(({largest}) + {BLOCK - 1}) / {BLOCK} * {BLOCK} + 1"
    row = sql.Literal(guid).as_string()
    return f'CASE "mendixsystem$entityidentifier"."id" WHEN {row} THEN {raised} ELSE {base} END'
