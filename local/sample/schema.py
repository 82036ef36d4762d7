"""The app's schema: DDL as the Mendix runtime issues it on PostgreSQL, and the `mendixsystem$*` rows that describe it.

Both are derived from the same `Table` objects, so that a name in the metadata is the name in the database.
"""

import re
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from local.sample.model import Association, Attribute, Entity, Model, shortened

SUBTYPE = "submetaobjectname"
CASCADE, SET_NULL = 0, 1


@dataclass(frozen=True)
class Column:
    """A column; `guid` is its id in `mendixsystem$attribute` or `mendixsystem$association`."""

    name: str
    sql: str
    guid: str
    attribute: Attribute | None = None
    association: Association | None = None


@dataclass(frozen=True)
class Key:
    """An index or unique constraint: columns with their direction."""

    name: str
    columns: tuple[tuple[str, bool], ...]
    unique: bool = False


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key to the id of another table."""

    name: str
    column: str
    references: str
    on_delete: str


@dataclass
class Table:
    """One table: of an entity, or of an association in storage format 2."""

    name: str
    guid: str
    columns: list[Column]
    entity: Entity | None = None
    association: Association | None = None
    keys: list[Key] = field(default_factory=list)
    foreign_keys: list[ForeignKey] = field(default_factory=list)
    sequences: dict[str, str] = field(default_factory=dict)

    @property
    def create(self) -> str:
        """The CREATE TABLE statement, keys apart."""
        first = [] if self.association else ['"id" bigint NOT NULL']
        suffix = " NOT NULL" if self.association else ""
        columns = first + [f'"{column.name}" {column.sql}{suffix}' for column in self.columns]
        return f'CREATE TABLE "{self.name}" (\n  ' + ",\n  ".join(columns) + ")"

    def post_data(self) -> Iterator[str]:
        """Yield what comes after the rows, foreign keys apart: primary key, unique constraints, indexes."""
        primary = ", ".join(f'"{column.name}"' for column in self.columns) if self.association else '"id"'
        yield f'ALTER TABLE "{self.name}" ADD PRIMARY KEY ({primary})'
        for key in self.keys:
            if key.unique:
                names = ", ".join(f'"{name}"' for name, _ in key.columns)
                yield f'ALTER TABLE "{self.name}" ADD CONSTRAINT "{key.name}" UNIQUE ({names})'
            else:
                ordered = [f'"{name}" {"DESC" if down else "ASC"}' for name, down in key.columns]
                ordered += [] if self.association else ['"id" ASC']
                yield f'CREATE INDEX "{key.name}" ON "{self.name}" ({", ".join(ordered)})'

    def add_foreign_keys(self) -> Iterator[str]:
        """Yield the foreign keys, to be made when every primary key is there."""
        for key in self.foreign_keys:
            yield (
                f'ALTER TABLE "{self.name}" ADD CONSTRAINT "{key.name}" FOREIGN KEY ("{key.column}") '
                f'REFERENCES "{key.references}" ("id") ON DELETE {key.on_delete}'
            )


class Schema:
    """All tables of a model."""

    def __init__(self, model: Model, guid: Callable[[str], str]) -> None:
        self.model = model
        self.guid = guid
        self.tables = [self._entity_table(entity) for entity in model.entities]
        self.tables += [self._link_table(one) for one in model.associations if one.storage_format == 2]

    def entity_guid(self, name: str) -> str:
        """Return the data storage GUID of an entity."""
        return self.model.by_name[name].guid or self.guid(name)

    def _entity_table(self, entity: Entity) -> Table:
        table = Table(entity.table, self.entity_guid(entity.name), [], entity=entity)
        for attribute in entity.attributes:
            self._add_attribute(table, entity, attribute)
        for name in ("createdDate", "changedDate") if entity.dates else ():
            table.columns.append(Column(name.lower(), "timestamp without time zone", _derived(f"{entity.name}.{name}")))
        if entity.specialised:
            table.columns.append(Column(SUBTYPE, "character varying(255)", _derived(f"{entity.name}.{SUBTYPE}")))
            table.keys.append(_index(table.name, ((SUBTYPE, False),)))
        for name in ("owner", "changedBy") if entity.users else ():
            self._add_reference(table, Association(f"System.{name}", entity.name, "System.User", storage_format=1))
        for index in entity.indexes:
            table.keys.append(_index(table.name, tuple((c.lstrip("-"), c.startswith("-")) for c in index.columns)))
        for association in self.model.associations:
            if association.storage_format == 1 and association.parent == entity.name:
                self._add_reference(table, association)
        return table

    def _add_attribute(self, table: Table, entity: Entity, attribute: Attribute) -> None:
        guid = attribute.guid or self.guid(f"{entity.name}.{attribute.name}")
        table.columns.append(Column(attribute.column, attribute.kind.sql, guid, attribute=attribute))
        if attribute.kind.code == 0:
            table.sequences[attribute.column] = shortened(f"{table.name}_{attribute.column}_mxseq")
        if attribute.unique:
            table.keys.append(_unique(table.name, attribute.column))

    def _add_reference(self, table: Table, association: Association) -> None:
        column = association.table
        guid = _derived(f"{association.parent}/{association.name}")
        if not association.name.startswith("System."):
            guid = self.guid(association.name)
        table.columns.append(Column(column, "bigint", guid, association=association))
        table.keys.append(_index(table.name, ((column, False),), suffix=""))
        if association.foreign_keys:
            name = shortened(f"frn_{table.name}_{column}")
            child = self.model.by_name[association.child].table
            table.foreign_keys.append(ForeignKey(name, column, child, "SET NULL"))

    def _link_table(self, association: Association) -> Table:
        guid = self.guid(association.name)
        parent, child = (self.model.by_name[name] for name in (association.parent, association.child))
        names = (parent.id_column, child.id_column)
        if parent is child:  # a self-association
            names = (shortened(f"{names[0]}1"), shortened(f"{names[1]}2"))
        columns = [Column(name, "bigint", _derived(f"{association.name}.{name}")) for name in names]
        table = Table(association.table, guid, columns, association=association)
        ends = [re.sub(r"id(\d?)$", r"\1", name) for name in reversed(names)]
        table.keys.append(
            Key(shortened(f"idx_{table.name}_{'_'.join(ends)}"), tuple((name, False) for name in reversed(names)))
        )
        for name, wanted in zip(names, (association.unique_parent, association.unique_child), strict=True):
            if wanted:
                table.keys.append(_unique(table.name, name))
        if association.foreign_keys:
            for name, entity in zip(names, (parent, child), strict=True):
                table.foreign_keys.append(
                    ForeignKey(shortened(f"frn_{table.name}_{name}"), name, entity.table, "CASCADE")
                )
        return table


def _index(table: str, columns: tuple[tuple[str, bool], ...], suffix: str = "_asc") -> Key:
    parts = [f"{name}{'_desc' if down else suffix}" for name, down in columns]
    return Key(shortened(f"idx_{table}_{'_'.join(parts)}"), columns)


def _unique(table: str, column: str) -> Key:
    return Key(shortened(f"uniq_{table}_{column}"), ((column, False),), unique=True)


def _derived(name: str) -> str:
    # Mendix makes the ids of what the modeller does not name (system members, link columns) from names: version 3.
    return str(uuid.uuid3(uuid.NAMESPACE_OID, name))
