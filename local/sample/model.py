"""What a Mendix model is made of, as far as its database shows it: entities, attributes, associations, indexes.

Names, type codes and storage formats are those of the `mendixsystem$*` tables.
"""

import hashlib
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from local.sample.values import Values

NAME_LIMIT = 63  # bytes, PostgreSQL's NAMEDATALEN - 1


@dataclass(frozen=True)
class Kind:
    """An attribute type: Mendix' code and PostgreSQL's type."""

    code: int
    sql: str
    length: int = 0


AUTO_NUMBER = Kind(0, "bigint")
FLOAT = Kind(2, "double precision")
INTEGER = Kind(3, "integer")
LONG = Kind(4, "bigint")
DECIMAL = Kind(5, "numeric(28,8)")
BOOLEAN = Kind(10, "boolean")
DATE_TIME = Kind(20, "timestamp without time zone")
UNLIMITED = Kind(30, "text")
BINARY = Kind(50, "bytea")


def string(length: int) -> Kind:
    """Return the type String(length)."""
    return Kind(30, f"character varying({length})", length)


def enumeration(length: int) -> Kind:
    """Return an enumeration whose longest key has that length."""
    return Kind(40, f"character varying({length})", length)


@dataclass(frozen=True)
class Attribute:
    """An attribute, with the maker of its values in the text form of COPY."""

    name: str
    kind: Kind
    values: "Values"
    guid: str | None = None
    default: str = ""
    unique: bool = False

    @property
    def column(self) -> str:
        """The column name."""
        return self.name.lower()


@dataclass(frozen=True)
class Index:
    """An index over columns; names starting with `-` are descending. Mendix adds `id` as the last column itself."""

    columns: tuple[str, ...]


@dataclass(frozen=True)
class Entity:
    """An entity: one table."""

    name: str
    attributes: tuple[Attribute, ...]
    superentity: str | None = None
    guid: str | None = None
    table_name: str | None = None
    specialised: bool = False
    dates: bool = False
    users: bool = False
    indexes: tuple[Index, ...] = ()

    @property
    def table(self) -> str:
        """The physical table name."""
        return self.table_name or physical(self.name)

    @property
    def id_column(self) -> str:
        """The column that an association table uses for this entity."""
        return shortened(f"{self.name.lower().replace('.', '$')}id")


@dataclass(frozen=True)
class Association:
    """An association; `parent` is its owner. Format 1 is a column of the parent's table, 2 a table of its own.

    `links(plan)` yields pairs of object ids for format 2. For format 1 `fill` is the share of parents that have one.
    """

    name: str
    parent: str
    child: str
    storage_format: int = 2
    unique_parent: bool = True
    unique_child: bool = False
    foreign_keys: bool = False
    fill: float = 1.0
    share: float = 1.0

    @property
    def table(self) -> str:
        """Table (format 2) or column (format 1) name."""
        return physical(self.name)


@dataclass(frozen=True)
class Model:
    """A whole app."""

    entities: tuple[Entity, ...]
    associations: tuple[Association, ...]
    by_name: dict[str, Entity] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.by_name.update({entity.name: entity for entity in self.entities})

    def subtypes(self, name: str) -> list[Entity]:
        """Return the entity of that name and all its specialisations, in model order."""
        return [entity for entity in self.entities if entity.name == name or self.is_a(entity, name)]

    def is_a(self, entity: Entity, name: str) -> bool:
        """Tell whether an entity is a specialisation, at any depth, of the named one."""
        while entity.superentity:
            if entity.superentity == name:
                return True
            entity = self.by_name[entity.superentity]
        return False


def physical(name: str) -> str:
    """Return the table name of an entity or association: lower case, `$` for the dot, within PostgreSQL's limit."""
    return shortened(name.lower().replace(".", "$"))


def shortened(name: str) -> str:
    """Shorten a name to PostgreSQL's 63 bytes, keeping both ends and a digest of the whole, so that none collide."""
    if len(name) <= NAME_LIMIT:
        return name
    digest = hashlib.blake2b(name.encode(), digest_size=4).hexdigest()
    return f"{name[:34]}_{digest}_{name[-19:]}"


def guid(seed: int) -> Callable[[str], str]:
    """Return a maker of GUIDs: the same for the same seed and name."""
    space = uuid.uuid5(uuid.NAMESPACE_OID, f"mxferry-sample-{seed}")
    return lambda name: str(uuid.uuid5(space, name))
