"""The source database as it is: tables, columns, keys, indexes, sequences of the restored temporary PostgreSQL."""

from dataclasses import dataclass, field
from typing import Literal

Action = Literal["NO ACTION", "CASCADE", "SET NULL", "SET DEFAULT"]


@dataclass(frozen=True)
class SourceColumn:
    """A column; `type` is what PostgreSQL's format_type() says, such as `character varying(200)`."""

    name: str
    type: str
    nullable: bool


@dataclass(frozen=True)
class KeyColumn:
    """A column of a key or an index, with its direction."""

    name: str
    descending: bool = False


@dataclass(frozen=True)
class SourceKey:
    """A primary key, a unique constraint or an index. `unsupported` says why it cannot be carried over as it is."""

    name: str
    kind: Literal["primary", "unique", "index"]
    columns: tuple[KeyColumn, ...]
    unique: bool
    unsupported: str | None = None


@dataclass(frozen=True)
class SourceForeignKey:
    """A foreign key to another table of the same schema."""

    name: str
    columns: tuple[str, ...]
    referenced_table: str
    referenced_columns: tuple[str, ...]
    on_delete: Action


@dataclass(frozen=True)
class SourceTable:
    """A table of schema public; `bytes` is pg_table_size(), TOAST included."""

    name: str
    columns: tuple[SourceColumn, ...]
    bytes: int = 0
    keys: tuple[SourceKey, ...] = ()
    foreign_keys: tuple[SourceForeignKey, ...] = ()

    def column(self, name: str) -> SourceColumn | None:
        """Return the column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    @property
    def primary_key(self) -> SourceKey | None:
        """The primary key, if the source has one."""
        return next((key for key in self.keys if key.kind == "primary"), None)


@dataclass(frozen=True)
class SourceSequence:
    """A native sequence. `last_value` has been handed out only if `is_called`."""

    name: str
    last_value: int
    is_called: bool

    @property
    def last_used(self) -> int:
        """The last number handed out, as `mendixsystem$sequence.current_value` means it on SQL Server."""
        return self.last_value if self.is_called else self.last_value - 1


@dataclass(frozen=True)
class SourceDatabase:
    """Everything the catalogue says about schema public."""

    tables: dict[str, SourceTable]
    sequences: dict[str, SourceSequence] = field(default_factory=dict)
    others: tuple[str, ...] = ()
    """Views, functions and the like, which a Mendix database does not have; named for the report."""
