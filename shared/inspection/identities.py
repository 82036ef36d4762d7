"""Object ids: their short ids must be known, and the ids to be handed out next must be free.

A wrong short id ends in "The provided entity id N has no corresponding meta object name" when the runtime reads the
row; an `object_sequence` that is behind ends in duplicate ids.
"""

from collections.abc import Iterator
from dataclasses import replace

from shared.databaseplan import PlannedTable
from shared.errors import Finding
from shared.inspection.look import Look, Problem
from shared.mendix.ids import BLOCK, RANDOM_BITS, REST_MASK, SHORT_ID_SHIFT
from shared.mendix.metadata import Metadata

UNKNOWN = Problem(
    "UNKNOWN_SHORT_ID",
    "error",
    "The runtime cannot read such objects. Choose `accept` to carry them over all the same, or remove them and take a "
    "new snapshot.",
    ("accept",),
)
BEHIND = Problem(
    "OBJECT_SEQUENCE_BEHIND",
    "error",
    "New objects would get ids that are in use. Choose `raise` (the target starts after the largest id) or `accept`.",
    ("raise", "accept"),
)
BEHIND_UNNAMED = replace(
    BEHIND,
    remedy="No entity of the model has these ids any more. Choose `accept`, or remove the objects and take a new snapshot.",
    choices=("accept",),
)
RANDOM_BITS_SINCE = (9, 12)
"""Runtime version from which an id's lowest seven bits are taken for random: seen in 9.18, not yet in 9.6."""


def identity_findings(look: Look, table: PlannedTable, metadata: Metadata) -> Iterator[Finding]:
    """Check the ids of a table; only roots of a generalisation, since each level repeats the ids of the root."""
    entity = metadata.entity_by_table.get(table.source_name)
    if entity is None or entity.superentity_id is not None or not any(c.name == "id" for c in table.columns):
        return
    known = {one.short_id: one for one in metadata.identifiers if one.short_id is not None}
    groups = look.all(
        f"SELECT id >> {SHORT_ID_SHIFT}, count(*), max({object_counter(random_bits(metadata))}) "  # noqa: S608
        f"FROM {look.rows_of(table)} GROUP BY 1 ORDER BY 1"
    )
    for short_id, count, largest in groups:
        identifier = known.get(int(short_id))
        if identifier is None:
            examples = look.examples(table, "'' ", f"id >> {SHORT_ID_SHIFT} = {short_id}")
            message = f"expected short ids of mendixsystem$entityidentifier, found {short_id}, which no entity has."
            yield UNKNOWN.found(f"{table.name}.id", message, int(count), [e.partition(":")[0] for e in examples])
        elif int(largest) >= (identifier.object_sequence or 0):
            named = metadata.entity_by_id.get(identifier.id)
            message = (
                f"expected the ids of {named.name if named else identifier.id} below object_sequence "
                f"{identifier.object_sequence}, found {largest}; the next free block starts at {next_block(int(largest))}."
            )
            problem = BEHIND if named else BEHIND_UNNAMED
            yield problem.found(f"mendixsystem$entityidentifier.{identifier.id}", message, int(count))


def next_block(largest: int) -> int:
    """Return the first counter of the block after the one `largest` is in; blocks start at 1, 101, 201…"""
    return (max(largest, 0) + BLOCK - 1) // BLOCK * BLOCK + 1


def object_counter(shift: int) -> str:
    """Return the PostgreSQL expression of an id's counter, above `shift` random bits."""
    return f"((id & {REST_MASK}) >> {shift})"


def random_bits(metadata: Metadata) -> int:
    """Return how many random bits the ids of this runtime version have below the counter."""
    version = metadata.version.runtime if metadata.version else None
    numbers = [int(part) for part in (version or "").split(".")[:2] if part.isascii() and part.isdigit()]
    return RANDOM_BITS if len(numbers) < 2 or tuple(numbers) >= RANDOM_BITS_SINCE else 0
