"""AutoNumbers whose three counts (metadata, native sequence, rows) do not go together, as findings of the plan."""

from collections.abc import Iterator

from shared.errors import Finding
from shared.mendix.metadata import Attribute, Entity, Metadata, physical
from shared.mendix.sequences import AutoNumber, native_names
from shared.mendix.source import SourceDatabase

EXAMPLES = 10


def auto_number_findings(numbers: list[AutoNumber], database: SourceDatabase, metadata: Metadata) -> list[Finding]:
    """Return what is odd about each AutoNumber, those without a row of mendixsystem$sequence, and idle sequences."""
    without = list(_without_row(database, metadata))
    claimed = {number.found_as for number in numbers}
    claimed |= {name for _, attribute in without for name in native_names(metadata, attribute.id)}
    return [
        *(finding for number in numbers for finding in _of_number(number)),
        *(_no_row(database, metadata, entity, attribute) for entity, attribute in without),
        *_unclaimed(database, claimed),
    ]


def _of_number(number: AutoNumber) -> Iterator[Finding]:
    if number.native is None:
        yield Finding(
            code="SEQUENCE_MISSING", severity="error", object=number.about,
            message=f"expected the native sequence {number.sequence.name}, found none; the AutoNumber would go on after "
            f"{number.current_value}, by its rows and mendixsystem$sequence, and give numbers of deleted rows out again.",
            remedy="Choose `accept` if the AutoNumber may go on there, or take a new snapshot with its sequence.",
            choices=["accept"],
        )  # fmt: skip
    elif number.largest is not None and number.largest > number.native:
        yield Finding(
            code="SEQUENCE_BEHIND", severity="info", object=number.about,
            message=f"the native sequence gave out {number.native}, but a row has {number.largest}; "
            f"the target goes on after {number.current_value}.",
            count=number.largest - number.native,
        )  # fmt: skip
    if number.sequence.current_value != number.current_value:
        yield Finding(
            code="AUTONUMBER_STALE", severity="info", object=number.about,
            message=f"mendixsystem$sequence.current_value is {number.sequence.current_value}, as PostgreSQL leaves "
            f"it; SQL Server needs the last number used, so the target gets {number.current_value}.",
        )  # fmt: skip


def _without_row(database: SourceDatabase, metadata: Metadata) -> Iterator[tuple[Entity, Attribute]]:
    counted = {sequence.attribute_id for sequence in metadata.sequences}
    for attribute in metadata.attributes:
        entity = metadata.entity_by_id.get(attribute.entity_id)
        if not attribute.auto_number or attribute.id in counted or entity is None:
            continue
        table = database.tables.get(physical(entity.table))
        if table is not None and table.column(physical(attribute.column)) is not None:
            yield entity, attribute


def _no_row(database: SourceDatabase, metadata: Metadata, entity: Entity, attribute: Attribute) -> Finding:
    native = next(
        (database.sequences[name] for name in native_names(metadata, attribute.id) if name in database.sequences), None
    )
    given = f"its native sequence gave out {native.last_used}" if native else "it has no native sequence either"
    return Finding(
        code="AUTONUMBER_WITHOUT_SEQUENCE", severity="error",
        object=f"{physical(entity.table)}.{physical(attribute.column)}",
        message=f"expected a row of mendixsystem$sequence for the AutoNumber {entity.name}.{attribute.name}, found none "
        f"({given}): on SQL Server usp_nextsequencevalue would find nothing to count with.",
        remedy="Start the source app once, so that the runtime makes the row, and take a new snapshot; or choose `accept` "
        "and add the row on the target before the app starts.",
        choices=["accept"],
    )  # fmt: skip


def _unclaimed(database: SourceDatabase, claimed: set[str | None]) -> Iterator[Finding]:
    left = [one for name, one in sorted(database.sequences.items()) if name not in claimed]
    if left:
        yield Finding(
            code="SEQUENCE_UNCLAIMED", severity="warning", object="native sequences", count=len(left),
            message="expected every native sequence to belong to an AutoNumber of the metadata, found some that belong to "
            "none; SQL Server has no native sequences in a Mendix database, so they are not carried over.",
            examples=[f"{one.name}: gave out {one.last_used}" for one in left[:EXAMPLES]],
        )  # fmt: skip
