"""The plan of the target database: what `schema` decides, `copy` fills, `finish` completes and `verify` checks.

The inspection writes it to staging as `runs/<run>/database-plan.json`, once, and every activity after it reads it. Every
deviation from a plain copy (a masked column, a sequence value, a dropped row) is a *source expression* or a *source
predicate* in here, so that copy and verification read the source through the same SQL and cannot disagree.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

PREFIX = "mendixsystem$"
"""How the names of the runtime's own metadata tables begin."""


class Frozen(BaseModel):
    """Base of the plan's parts: immutable, unknown fields refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PlannedColumn(Frozen):
    """One column: how it is read, and what it becomes."""

    name: str = Field(description="Column on the target.")
    source_name: str = Field(description="Column in PostgreSQL.")
    source_type: str = Field(description="As PostgreSQL's format_type() says, such as `character varying(200)`.")
    type: str = Field(description="Target type as in the DDL, such as `nvarchar(200)` or `datetime2(3)`.")
    nullable: bool = True
    collation: str | None = Field(default=None, description="COLLATE of a string column; the database's if absent.")
    expression: str | None = Field(default=None, description="PostgreSQL expression read instead of the column.")
    changed: str | None = Field(
        default=None, description="Why the expression differs (mask, sequence), for the report."
    )


class IndexColumn(Frozen):
    """A column of an index, with its direction."""

    name: str
    descending: bool = False


class PlannedIndex(Frozen):
    """An index, or a unique constraint when `constraint` is true."""

    name: str
    columns: list[IndexColumn]
    unique: bool = False
    constraint: bool = False
    where: str | None = Field(default=None, description="T-SQL predicate of a filtered index.")
    nonclustered: bool = Field(default=False, description="A primary key that is not the order of the table's rows.")
    omitted: str | None = Field(default=None, description="Why it is not made (a chosen remedy), for the report.")


class PlannedForeignKey(Frozen):
    """A foreign key between two planned tables."""

    name: str
    columns: list[str]
    referenced_table: str
    referenced_columns: list[str]
    on_delete: Literal["NO ACTION", "CASCADE", "SET NULL", "SET DEFAULT"] = "NO ACTION"
    omitted: str | None = None


class PlannedTable(Frozen):
    """One table of the target."""

    name: str = Field(description="Table on the target, in schema dbo.")
    source_name: str = Field(description="Table in the temporary PostgreSQL's schema public.")
    entity: str | None = Field(default=None, description="Mendix entity or association name, where there is one.")
    columns: list[PlannedColumn]
    primary_key: PlannedIndex | None = None
    indexes: list[PlannedIndex] = Field(default_factory=list)
    foreign_keys: list[PlannedForeignKey] = Field(default_factory=list)
    content: Literal["copy", "empty"] = Field(default="copy", description="`empty`: made on the target, not filled.")
    reason: str | None = Field(default=None, description="Why it stays empty, for the report.")
    where: str | None = Field(default=None, description="PostgreSQL predicate on the rows that are read.")
    target_where: str | None = Field(
        default=None,
        description="T-SQL predicate on the rows that are compared, where the app changes others by itself.",
    )
    rows: int = Field(default=0, description="Rows in the temporary PostgreSQL that `where` lets through.")
    source_bytes: int = Field(default=0, description="pg_table_size() in bytes, TOAST included.")

    @property
    def deviation(self) -> str | None:
        """What of the table does not arrive as it is in the source, for the report; None where all of it does."""
        if self.content == "empty":
            return self.reason
        changed = [f"{one.name}: {one.changed}" for one in self.columns if one.changed]
        return "; ".join([self.reason, *changed] if self.reason else changed) or None


class DatabasePlan(Frozen):
    """The whole target database."""

    run: str
    mode: Literal["create", "existing", "runtime"] = "create"
    collation: str | None = None
    tables: list[PlannedTable]
    procedures: list[str] = Field(default_factory=list, description="T-SQL batches made after the tables.")
    notes: list[str] = Field(default_factory=list, description="Sentences for the report: what differs and why.")

    def table(self, name: str) -> PlannedTable:
        """Return the table of that target name; KeyError if the plan has none."""
        for table in self.tables:
            if table.name == name:
                return table
        raise KeyError(name)
