"""A DDL statement being read: what all of them have in common."""

from dataclasses import dataclass, field

from local.sqlserver.clauses import Clauses
from local.sqlserver.context import Context
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.scope import Table

_ROW_OPTIONS_LISTED = "DATA_COMPRESSION ONLINE SORT_IN_TEMPDB FILLFACTOR MAXDOP PAD_INDEX STATISTICS_NORECOMPUTE"
_ROW_OPTIONS = frozenset(_ROW_OPTIONS_LISTED.split())
_ROW_OPTIONS |= {"ALLOW_ROW_LOCKS", "ALLOW_PAGE_LOCKS", "IGNORE_DUP_KEY", "OPTIMIZE_FOR_SEQUENTIAL_KEY"}
LONGEST_NAME = 63


@dataclass
class Change:
    """What a DDL statement does to the store.

    `names` tells what the constraints and indexes it makes are called in SQL Server, for the text of an error.
    """

    verb: str
    script: list[str] = field(default_factory=list)
    names: dict[str, dict[str, object]] = field(default_factory=dict)
    table: str = ""


class Ddl:
    """A statement, the words that are still to be read of it, and the database it is about."""

    def __init__(self, context: Context, statement: str) -> None:
        self.context = context
        self.statement = statement
        self.clauses = Clauses(statement)
        self.collation = context.session["collation"]
        self.declared: dict[str, str] = {}

    def target(self) -> tuple[str, str]:
        """Reads a table's name; only schema dbo has tables."""
        database, schema, name = self.clauses.qualified()
        if database and database.lower() != self.context.catalogue.database.lower():
            raise NotUnderstoodError(f"another database: {database}", self.statement)
        if schema and schema.lower() != "dbo":
            raise SqlError(
                2760,
                f'The specified schema name "{schema}" either does not exist or you do not have permission to use it.',
            )
        if name.startswith("#"):
            raise NotUnderstoodError(f"temporary table {name}", self.statement)
        if len(name.encode()) > LONGEST_NAME:
            raise NotUnderstoodError(f"a table name of more than {LONGEST_NAME} bytes: {name}", self.statement)
        return "dbo", name

    def existing(self) -> Table:
        """Reads the name of a table that is there."""
        _, name = self.target()
        found = self.context.catalogue.find("dbo", name)
        if found is None:
            raise SqlError(
                4902, f'Cannot find the object "dbo.{name}" because it does not exist or you do not have permissions.'
            )
        return found

    def real_name(self, table: str, name: str) -> str:
        """A column's name as it was declared, here or in a table that is there."""
        declared = self.declared.get(name.lower())
        return declared or self.context.catalogue.table("dbo", table).column(name).name

    def storage_options(self) -> None:
        """ON [PRIMARY], TEXTIMAGE_ON [PRIMARY], WITH (…): where and how it is stored, which means nothing here."""
        c = self.clauses
        while not c.done:
            if c.takes("ON") or c.takes("TEXTIMAGE_ON"):
                if c.name().upper() not in ("PRIMARY", "DEFAULT"):
                    raise NotUnderstoodError("a filegroup other than PRIMARY", self.statement)
            elif c.word() == "WITH":
                self.with_options()
            else:
                return

    def with_options(self) -> None:
        """Reads WITH (option = value, …); an option that would change what is stored is refused."""
        c = self.clauses
        c.expect("WITH")
        inner = Clauses(c.parenthesised())
        while True:
            name = inner.name().upper()
            inner.expect("=")
            value = inner.until(",")
            if name not in _ROW_OPTIONS or (name == "IGNORE_DUP_KEY" and value.upper() != "OFF"):
                raise NotUnderstoodError(f"WITH ({name} = {value})", self.statement)
            if not inner.takes(","):
                return

    def refuse_known_name(self, name: str) -> None:
        """2714 when a table, procedure or constraint has the name."""
        if self.context.catalogue.object_exists(name):
            raise SqlError(2714, f"There is already an object named '{name}' in the database.")

    def clustered(self, *, default: bool) -> bool:
        """Reads CLUSTERED or NONCLUSTERED; `default` when neither stands there."""
        if self.clauses.takes("CLUSTERED"):
            return True
        return False if self.clauses.takes("NONCLUSTERED") else default
