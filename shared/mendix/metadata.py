"""What a Mendix database says about itself: the `mendixsystem$*` tables.

They are the only authority on physical names: the runtime maps an entity to its table by the GUID in
`mendixsystem$entity`, and shortens names in ways that differ by database. Columns that older runtimes did not have
(`remote`, `storage_format`, the foreign key names) are None there.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from shared.databaseplan import PREFIX
from shared.errors import Refusal

IDENTIFIER_BYTES = 63
"""PostgreSQL cuts longer identifiers (NAMEDATALEN - 1); `mendixsystem$*` keeps the whole name."""

STORED_IN_TABLE = 2  # mendixsystem$association.storage_format: 1 is a column of the entity's table, 2 an own table


@dataclass(frozen=True)
class Entity:
    """A row of mendixsystem$entity; `id` is the model's data storage GUID."""

    id: str
    name: str
    table: str
    superentity_id: str | None = None
    remote: bool = False


@dataclass(frozen=True)
class Attribute:
    """A row of mendixsystem$attribute; `type` is a code of `shared.mendix.types`, `length` 0 is unlimited."""

    id: str
    entity_id: str
    name: str
    column: str
    type: int
    length: int
    auto_number: bool


@dataclass(frozen=True)
class Association:
    """A row of mendixsystem$association.

    Before storage formats there were rows for System.owner and System.changedBy whose `table` is not a table
    (`system$owner`); `own_table` is false for those.
    """

    id: str
    name: str
    table: str
    parent_entity_id: str
    child_entity_id: str
    parent_column: str
    child_column: str
    index_name: str | None = None
    parent_fkc_name: str | None = None
    child_fkc_name: str | None = None
    storage_format: int | None = None

    @property
    def own_table(self) -> bool:
        """Whether the association has a table of its own with a column for either side."""
        return self.parent_column != "id" and self.storage_format in (None, STORED_IN_TABLE)


@dataclass(frozen=True)
class Sequence:
    """A row of mendixsystem$sequence: an AutoNumber."""

    name: str
    attribute_id: str
    start_value: int
    current_value: int | None


@dataclass(frozen=True)
class EntityIdentifier:
    """A row of mendixsystem$entityidentifier: the upper 16 bits of an entity's object ids, and its next counter."""

    id: str
    short_id: int | None
    object_sequence: int | None


@dataclass(frozen=True)
class Version:
    """The row of mendixsystem$version: the model's version and the runtime's."""

    model: str | None
    runtime: str | None


@dataclass(frozen=True)
class Metadata:
    """All of it, with the look-ups that conversion and inspection need."""

    entities: tuple[Entity, ...]
    attributes: tuple[Attribute, ...]
    associations: tuple[Association, ...]
    sequences: tuple[Sequence, ...] = ()
    identifiers: tuple[EntityIdentifier, ...] = ()
    constraint_names: tuple[str, ...] = ()
    """Names of indexes, unique constraints and foreign keys, whole."""
    properties: dict[str, str] = field(default_factory=dict)
    version: Version | None = None

    @cached_property
    def entity_by_id(self) -> dict[str, Entity]:
        """Entities by GUID."""
        return {entity.id: entity for entity in self.entities}

    @cached_property
    def entity_by_table(self) -> dict[str, Entity]:
        """Entities by physical table in PostgreSQL."""
        return {physical(entity.table): entity for entity in self.entities}

    @cached_property
    def association_by_table(self) -> dict[str, Association]:
        """Associations that have their own table, by physical table in PostgreSQL."""
        return {physical(one.table): one for one in self.associations if one.own_table}

    @cached_property
    def attribute_by_id(self) -> dict[str, Attribute]:
        """Attributes by GUID."""
        return {attribute.id: attribute for attribute in self.attributes}

    @cached_property
    def attributes_by_table(self) -> dict[str, dict[str, Attribute]]:
        """Attributes by physical table and physical column."""
        found: dict[str, dict[str, Attribute]] = {}
        for attribute in self.attributes:
            entity = self.entity_by_id.get(attribute.entity_id)
            if entity is not None:
                found.setdefault(physical(entity.table), {})[physical(attribute.column)] = attribute
        return found

    @cached_property
    def reference_columns(self) -> dict[str, dict[str, Association]]:
        """Associations stored as a column, by physical table and column: direct ones, owner and changedBy."""
        found: dict[str, dict[str, Association]] = {}
        for one in self.associations:
            parent = self.entity_by_id.get(one.parent_entity_id)
            if parent is not None and not one.own_table:
                found.setdefault(physical(parent.table), {})[physical(one.child_column)] = one
        return found

    @cached_property
    def _whole_names(self) -> dict[str, str]:
        names = (
            *(entity.table for entity in self.entities),
            *(one.table for one in self.associations),
            *(attribute.column for attribute in self.attributes),
            *(one.child_column for one in self.associations),
            *(one.parent_column for one in self.associations),
            *self.constraint_names,
        )
        return {physical(name): name for name in names}

    def whole_name(self, name: str) -> str:
        """Return the whole name of which PostgreSQL may have kept 63 bytes only."""
        return self._whole_names.get(name, name)

    def children_of(self, entity_ids: set[str]) -> set[str]:
        """Return the GUIDs of all specialisations of these entities, themselves included."""
        found = set(entity_ids)
        while True:
            more = {e.id for e in self.entities if e.superentity_id in found} - found
            if not more:
                return found
            found |= more


RowsOf = Callable[[str], list[dict[str, Any]]]
"""Gives the rows of a metadata table by its name without prefix; none when this runtime version has no such table."""


def physical(name: str) -> str:
    """Return a name as PostgreSQL stores it: at most 63 bytes, cut at a whole character."""
    encoded = name.encode()
    return name if len(encoded) <= IDENTIFIER_BYTES else encoded[:IDENTIFIER_BYTES].decode(errors="ignore")


def read_metadata(connection: psycopg.Connection[Any]) -> Metadata:
    """Read the metadata of a PostgreSQL database; Refusal NOT_A_MENDIX_DATABASE when there is none."""
    if not _exists(connection, "entity"):
        raise Refusal(
            "NOT_A_MENDIX_DATABASE",
            "mendixsystem$entity",
            "expected the tables that every Mendix database has, found none of that name in the dump.",
            "Check that the snapshot is a backup of a Mendix app and that its restore was complete.",
        )
    return metadata_from(lambda name: _table(connection, name))


def metadata_from(rows_of: RowsOf) -> Metadata:
    """Make the metadata of rows; `rows_of("entity")` gives the rows of mendixsystem$entity, none if it is missing."""
    version = rows_of("version")
    associations = tuple(_association(row) for row in rows_of("association"))
    names = [row["index_name"] for row in rows_of("index")]
    names += [row["name"] for row in rows_of("unique_constraint")]
    for one in associations:
        names += [name for name in (one.index_name, one.parent_fkc_name, one.child_fkc_name) if name]
    return Metadata(
        entities=tuple(_entity(row) for row in rows_of("entity")),
        attributes=tuple(_attribute(row) for row in rows_of("attribute")),
        associations=associations,
        sequences=tuple(
            Sequence(row["name"], row["attribute_id"], row["start_value"], row["current_value"])
            for row in rows_of("sequence")
        ),
        identifiers=tuple(
            EntityIdentifier(row["id"], row["short_id"], row["object_sequence"]) for row in rows_of("entityidentifier")
        ),
        constraint_names=tuple(names),
        properties={row["key"]: row["value"] for row in rows_of("properties")},
        version=Version(version[0].get("modelversionnumber"), version[0].get("mendixversion")) if version else None,
    )


def _entity(row: dict[str, Any]) -> Entity:
    return Entity(
        id=row["id"],
        name=row["entity_name"],
        table=row["table_name"],
        superentity_id=row.get("superentity_id"),
        remote=bool(row.get("remote")),
    )


def _attribute(row: dict[str, Any]) -> Attribute:
    return Attribute(
        id=row["id"],
        entity_id=row["entity_id"],
        name=row["attribute_name"],
        column=row["column_name"],
        type=row["type"],
        length=row["length"] or 0,
        auto_number=bool(row["is_auto_number"]),
    )


def _association(row: dict[str, Any]) -> Association:
    return Association(
        id=row["id"],
        name=row["association_name"],
        table=row["table_name"],
        parent_entity_id=row["parent_entity_id"],
        child_entity_id=row["child_entity_id"],
        parent_column=row["parent_column_name"],
        child_column=row["child_column_name"],
        index_name=row.get("index_name"),
        parent_fkc_name=row.get("parent_fkc_name"),
        child_fkc_name=row.get("child_fkc_name"),
        storage_format=row.get("storage_format"),
    )


def _exists(connection: psycopg.Connection[Any], name: str) -> bool:
    row = connection.execute("SELECT to_regclass(%s) IS NOT NULL", (f'public."{PREFIX}{name}"',)).fetchone()
    return bool(row and row[0])


def _table(connection: psycopg.Connection[Any], name: str) -> list[dict[str, Any]]:
    """Return all rows of a metadata table; none when this runtime version has no such table."""
    if not _exists(connection, name):
        return []
    with connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(sql.SQL("SELECT * FROM public.{}").format(sql.Identifier(PREFIX + name))).fetchall()
