"""Tables, constraints and indexes → PostgreSQL.

Keys are unique indexes of PostgreSQL, not constraints: a string column of a case-insensitive collation is unique by
`lower(rtrim(column))`, and SQL Server has one NULL in a unique key (NULLS NOT DISTINCT). That is an emulation: what
else a Windows collation holds for equal (width, kana, ligatures) is different here.
"""

import hashlib
import json
from dataclasses import dataclass, field

from local.sqlserver.casts import cast
from local.sqlserver.clauses import Clauses
from local.sqlserver.collations import check_collation
from local.sqlserver.errors import NotUnderstoodError, SqlError, syntax_error
from local.sqlserver.expressions import Context
from local.sqlserver.parsing import parse_expression, parse_query
from local.sqlserver.queries import Queries
from local.sqlserver.scope import Column, Scope, Source, Table
from local.sqlserver.sqltypes import MAX, SqlType
from local.sqlserver.store import literal, quoted

_ROW_OPTIONS = frozenset(
    "DATA_COMPRESSION ONLINE SORT_IN_TEMPDB FILLFACTOR MAXDOP PAD_INDEX STATISTICS_NORECOMPUTE".split()
)
_ROW_OPTIONS |= {"ALLOW_ROW_LOCKS", "ALLOW_PAGE_LOCKS", "IGNORE_DUP_KEY", "OPTIMIZE_FOR_SEQUENTIAL_KEY"}
_LONGEST_NAME = 63


@dataclass
class Change:
    """What a DDL statement does to the store.

    `names` tells what the constraints and indexes it makes are called in SQL Server, for the text of an error.
    """

    verb: str
    script: list[str] = field(default_factory=list)
    names: dict[str, dict[str, object]] = field(default_factory=dict)
    table: str = ""


@dataclass
class _NewColumn:
    name: str
    kind: SqlType
    nullable: bool | None = None
    default: str = ""
    default_name: str = ""
    key: str = ""
    key_name: str = ""


@dataclass
class _Key:
    kind: str
    name: str
    columns: list[tuple[str, bool]]
    clustered: bool
    included: list[str] = field(default_factory=list)
    where: str = ""
    unique: bool = True


class Ddl:
    """Translates the DDL of one database."""

    def __init__(self, context: Context, statement: str) -> None:
        self.context = context
        self.statement = statement
        self.clauses = Clauses(statement)
        self.collation = context.session["collation"]
        self.declared: dict[str, str] = {}

    # --- tables ----------------------------------------------------------------------------------------------------

    def create_table(self) -> Change:
        """CREATE TABLE."""
        c = self.clauses
        c.expect("CREATE", "TABLE")
        schema, name = self.target()
        if self.context.catalogue.find(schema, name):
            raise SqlError(2714, f"There is already an object named '{name}' in the database.")
        change = Change("CREATE TABLE", table=name)
        columns: list[_NewColumn] = []
        keys: list[_Key] = []
        after: list[str] = []
        c.expect("(")
        while True:
            if c.word() in ("CONSTRAINT", "PRIMARY", "UNIQUE", "FOREIGN", "CHECK"):
                self._table_constraint(name, columns, keys, after, change)
            else:
                columns.append(self._new_column())
                self._declare(columns[-1], name)
            if not c.takes(","):
                break
        c.expect(")")
        self._storage_options()
        c.end()
        for column in columns:
            if column.key:
                keys.append(_Key(column.key, column.key_name or _made_up(column.key, name, column.name),
                                 [(column.name, False)], column.key == "PK"))  # fmt: skip
        for key in keys:
            self._fix_nullability(name, key, columns)
        listed = ", ".join(self._column_sql(name, column, place) for place, column in enumerate(columns, 1))
        change.script.append(f"CREATE TABLE dbo.{quoted(name)} ({listed})")
        change.script.append(f"COMMENT ON TABLE dbo.{quoted(name)} IS '{{}}'")
        change.script += [self._column_comment(name, column) for column in columns]
        known = {column.name.lower(): column for column in columns}
        for key in keys:
            self._key_sql(name, key, {each: known[each].kind for each in known}, change)
        change.script += after
        return change

    def _declare(self, column: _NewColumn, table: str) -> None:
        if column.name.lower() in self.declared:
            raise SqlError(
                2705,
                "Column names in each table must be unique. "
                f"Column name '{column.name}' in table '{table}' is specified more than once.",
            )
        self.declared[column.name.lower()] = column.name

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
        if len(name.encode()) > _LONGEST_NAME:
            raise NotUnderstoodError(f"a table name of more than {_LONGEST_NAME} bytes: {name}", self.statement)
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

    def _new_column(self) -> _NewColumn:
        c = self.clauses
        name = c.name()
        if len(name.encode()) > _LONGEST_NAME:
            raise NotUnderstoodError(f"a column name of more than {_LONGEST_NAME} bytes: {name}", self.statement)
        if c.word() == "AS":
            raise NotUnderstoodError(f"computed column {name}", self.statement)
        column = _NewColumn(name, c.data_type())
        while c.word() not in (",", ")") and not c.done:
            self._column_option(column)
        if column.kind.is_string and column.kind.collation is None:
            column.kind = column.kind.collated(self.collation)
        return column

    def _column_option(self, column: _NewColumn) -> None:
        c = self.clauses
        constraint = c.name() if c.takes("CONSTRAINT") else ""
        if c.takes("COLLATE"):
            name = c.name()
            check_collation(name)
            column.kind = column.kind.collated(self.collation if name.lower() == "database_default" else name)
        elif c.takes("NOT", "NULL"):
            column.nullable = False
        elif c.takes("NULL"):
            column.nullable = True
        elif c.takes("DEFAULT"):
            column.default, column.default_name = self._default_text(), constraint
        elif c.takes("PRIMARY", "KEY"):
            column.key, column.key_name = "PK", constraint
            self._clustered(default=True)
        elif c.takes("UNIQUE"):
            column.key, column.key_name = "UQ", constraint
            if self._clustered(default=False):
                raise NotUnderstoodError("UNIQUE CLUSTERED in a column", self.statement)
        else:
            raise NotUnderstoodError(c.near(), self.statement)

    def _default_text(self) -> str:
        c = self.clauses
        if c.word() == "(":
            return f"({c.parenthesised()})"
        start = c.at
        c.at += 1 if c.word() not in ("-", "@") else 2
        if c.word() == "(":
            c.parenthesised()
        return c.slice(start, c.at)

    def _column_sql(self, table: str, column: _NewColumn, place: int) -> str:
        text = f"{quoted(column.name)} {column.kind.pg}"
        if column.nullable is False:
            text += " NOT NULL"
        if column.default:
            e = Queries(self.context).expressions(Scope())
            value = cast(
                e.value(parse_query(f"SELECT {column.default} AS v").expressions[0].this), column.kind, assign=True
            )
            text += f" DEFAULT {value.text}"
        check = self._check_sql(table, column.name, column.kind)
        return f"{text} CONSTRAINT {check[0]}_{place} CHECK ({check[1]})" if check else text

    def _check_sql(self, table: str, name: str, kind: SqlType) -> tuple[str, str] | None:
        """What PostgreSQL's type does not check: name and condition of a CHECK constraint."""
        text = quoted(name)
        place = f"{literal(f'{self.context.catalogue.database}.dbo.{table}')}, {literal(name)}"
        if kind.name == "bit":
            return "range_bit", f"{text} IN (0, 1)"
        if kind.name == "tinyint":
            return "range_tinyint", f"{text} BETWEEN 0 AND 255"
        if kind.name in ("float", "real"):
            return "finite", f"{text} NOT IN ('NaN', 'Infinity', '-Infinity')"
        if kind.length in (0, MAX):
            return None
        if kind.is_unicode:
            return "fits", f"octet_length({text}) <= {kind.length} OR mssql.fits({text}, {kind.length}, {place})"
        size = f"char_length({text})" if kind.is_string and not kind.is_utf8 else f"octet_length({text})"
        return "fits", f"{size} <= {kind.length} OR mssql.fits_bytes({size}, {kind.length}, {place})"

    def _column_comment(self, table: str, column: _NewColumn) -> str:
        told = column_told(column.kind)
        if column.default:
            told["default"] = column.default
            told["default_name"] = column.default_name or _made_up("DF", table, column.name)
        text = literal(json.dumps(told, ensure_ascii=False))
        return f"COMMENT ON COLUMN dbo.{quoted(table)}.{quoted(column.name)} IS {text}"

    def _storage_options(self) -> None:
        """ON [PRIMARY], TEXTIMAGE_ON [PRIMARY], WITH (…): where and how it is stored, which means nothing here."""
        c = self.clauses
        while not c.done:
            if c.takes("ON") or c.takes("TEXTIMAGE_ON"):
                if c.name().upper() not in ("PRIMARY", "DEFAULT"):
                    raise NotUnderstoodError("a filegroup other than PRIMARY", self.statement)
            elif c.word() == "WITH":
                self._with_options()
            else:
                return

    def _with_options(self) -> None:
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

    # --- constraints -----------------------------------------------------------------------------------------------

    def _table_constraint(
        self, table: str, columns: list[_NewColumn], keys: list[_Key], after: list[str], change: Change
    ) -> None:
        c = self.clauses
        name = c.name() if c.takes("CONSTRAINT") else ""
        if c.word() in ("PRIMARY", "UNIQUE"):
            keys.append(self._key(table, name))
        elif c.word() == "FOREIGN":
            after += self._foreign_key(table, name, change, trusted=True)
        elif c.word() == "CHECK":
            source = [Column(column.name, column.kind, True, quoted(column.name)) for column in columns]
            after += self._check(table, name, source, change)
        else:
            raise NotUnderstoodError(c.near(), self.statement)

    def _key(self, table: str, name: str) -> _Key:
        c = self.clauses
        kind = "PK" if c.takes("PRIMARY", "KEY") else "UQ"
        if kind == "UQ":
            c.expect("UNIQUE")
        clustered = self._clustered(default=kind == "PK")
        columns = self._key_columns()
        self._storage_options()
        return _Key(kind, name or _made_up(kind, table, "_".join(each for each, _ in columns)), columns, clustered)

    def _clustered(self, *, default: bool) -> bool:
        if self.clauses.takes("CLUSTERED"):
            return True
        return False if self.clauses.takes("NONCLUSTERED") else default

    def _key_columns(self) -> list[tuple[str, bool]]:
        c = self.clauses
        c.expect("(")
        found = []
        while True:
            name = c.name()
            found.append((name, c.takes("DESC")))
            c.takes("ASC")
            if not c.takes(","):
                break
        c.expect(")")
        return found

    def _fix_nullability(self, table: str, key: _Key, columns: list[_NewColumn]) -> None:
        known = {column.name.lower(): column for column in columns}
        for name, _ in key.columns:
            column = known.get(name.lower())
            if column is None:
                raise SqlError(1911, f"Column name '{name}' does not exist in the target table or view.")
            if key.kind == "PK":
                if column.nullable is True:
                    raise SqlError(8111, f"Cannot define PRIMARY KEY constraint on nullable column in table '{table}'.")
                column.nullable = False

    def _key_sql(self, table: str, key: _Key, kinds: dict[str, SqlType], change: Change) -> None:
        """CREATE INDEX and its comment."""
        parts = []
        for name, descending in key.columns:
            kind = kinds.get(name.lower())
            if kind is None:
                raise SqlError(1911, f"Column name '{name}' does not exist in the target table or view.")
            if kind.length == MAX:
                raise SqlError(
                    1919,
                    f"Column '{name}' in table 'dbo.{table}' is of a type that is invalid for use as a key column in an index.",
                )
            real = self._real_name(table, name)
            text = f"lower(rtrim({quoted(real)}))" if kind.ignores_case else quoted(real)
            parts.append(
                f"({text}) {'DESC NULLS LAST' if descending else 'ASC NULLS FIRST'}"
                if "(" in text
                else f"{text}{' DESC NULLS LAST' if descending else ''}"
            )
        stored = internal_name(key.kind, table, key.name)
        told: dict[str, object] = {
            "name": key.name,
            "kind": key.kind,
            "clustered": key.clustered,
            "columns": [
                {"name": self._real_name(table, name), "descending": descending} for name, descending in key.columns
            ],
        }
        if key.included:
            told["included"] = key.included
        if key.where:
            told["where"] = f"({key.where})"
        distinct = " NULLS NOT DISTINCT" if key.unique and key.kind != "PK" else ""
        sql = f"CREATE {'UNIQUE ' if key.unique else ''}INDEX {stored} ON dbo.{quoted(table)} ({', '.join(parts)}){distinct}"
        if key.where:
            sql += f" WHERE {self._filter(table, key.where, kinds)}"
        change.script += [sql, f"COMMENT ON INDEX dbo.{stored} IS {literal(json.dumps(told, ensure_ascii=False))}"]
        change.names[stored] = told

    def _real_name(self, table: str, name: str) -> str:
        """A column's name as it was declared, here or in a table that is there."""
        declared = self.declared.get(name.lower())
        return declared or self.context.catalogue.table("dbo", table).column(name).name

    def _filter(self, table: str, where: str, kinds: dict[str, SqlType]) -> str:
        scope = Scope()
        found = [Column(name, kind, True, quoted(name)) for name, kind in kinds.items()]
        real = self.context.catalogue.find("dbo", table)
        scope.add(Source(table, quoted(table), list(real.columns) if real else found))
        return Queries(self.context).expressions(scope).predicate(parse_expression(where))

    def _foreign_key(self, table: str, name: str, change: Change, *, trusted: bool) -> list[str]:
        c = self.clauses
        c.expect("FOREIGN", "KEY")
        columns = c.names()
        c.expect("REFERENCES")
        _, schema, referenced = c.qualified()
        other = table if referenced.lower() == table.lower() else ""
        found = self.context.catalogue.find(schema or "dbo", referenced)
        if found is None and not other:
            raise SqlError(1767, f"Foreign key '{name}' references invalid table '{referenced}'.")
        other = found.name if found else other
        if c.word() != "(":
            raise NotUnderstoodError("a foreign key that does not name the columns it references", self.statement)
        theirs = c.names()
        actions = self._actions()
        name = name or _made_up("FK", table, "_".join(columns))
        self._refuse_known_name(name)
        stored = internal_name("FK", table, name)
        mine = ", ".join(quoted(self._real_name(table, column)) for column in columns)
        their = ", ".join(quoted(found.column(column).name if found else column) for column in theirs)
        told: dict[str, object] = {"name": name, "kind": "FK", "referenced": other, "column": theirs[0]}
        change.names[stored] = told
        valid = "" if trusted else " NOT VALID"
        script = [
            f"ALTER TABLE dbo.{quoted(table)} ADD CONSTRAINT {stored} FOREIGN KEY ({mine}) REFERENCES dbo.{quoted(other)} ({their}){actions}{valid}",
            f"COMMENT ON CONSTRAINT {stored} ON dbo.{quoted(table)} IS {literal(json.dumps(told, ensure_ascii=False))}",
        ]
        if not trusted:
            script.append(f"INSERT INTO mssql.untrusted SELECT oid FROM pg_constraint WHERE conname = '{stored}'")
        return script

    def _actions(self) -> str:
        c, text = self.clauses, ""
        while c.takes("ON"):
            event = c.name().upper()
            for words in (("NO", "ACTION"), ("CASCADE",), ("SET", "NULL"), ("SET", "DEFAULT")):
                if event in ("DELETE", "UPDATE") and c.takes(*words):
                    text += f" ON {event} {' '.join(words)}"
                    break
            else:
                raise syntax_error(c.near())
        return text

    def _check(self, table: str, name: str, columns: list[Column], change: Change) -> list[str]:
        c = self.clauses
        c.expect("CHECK")
        text = c.parenthesised()
        name = name or _made_up("CK", table, text)
        self._refuse_known_name(name)
        scope = Scope()
        scope.add(Source(table, quoted(table), columns))
        condition = Queries(self.context).expressions(scope).predicate(parse_expression(text))
        stored = internal_name("CK", table, name)
        told: dict[str, object] = {"name": name, "definition": f"({text})"}
        change.names[stored] = told
        return [
            f"ALTER TABLE dbo.{quoted(table)} ADD CONSTRAINT {stored} CHECK ({condition})",
            f"COMMENT ON CONSTRAINT {stored} ON dbo.{quoted(table)} IS {literal(json.dumps(told, ensure_ascii=False))}",
        ]

    def _refuse_known_name(self, name: str) -> None:
        if self.context.catalogue.object_exists(name):
            raise SqlError(2714, f"There is already an object named '{name}' in the database.")

    # --- indexes ---------------------------------------------------------------------------------------------------

    def create_index(self) -> Change:
        """CREATE [UNIQUE] [CLUSTERED | NONCLUSTERED] INDEX."""
        c = self.clauses
        c.expect("CREATE")
        unique = c.takes("UNIQUE")
        clustered = self._clustered(default=False)
        c.expect("INDEX")
        name = c.name()
        c.expect("ON")
        table = self.existing()
        key = _Key("IX", name, self._key_columns(), clustered, unique=unique)
        if c.takes("INCLUDE"):
            key.included = [table.column(column).name for column in c.names()]
        if c.takes("WHERE"):
            key.where = c.until("WITH", "ON")
        self._storage_options()
        c.end()
        change = Change("CREATE INDEX", table=table.name)
        self._refuse_known_index(table, key)
        self._key_sql(table.name, key, {column.name.lower(): column.kind for column in table.columns}, change)
        return change

    def _refuse_known_index(self, table: Table, key: _Key) -> None:
        for name, kind, clustered in self.context.catalogue.indexes(table):
            if name.lower() == key.name.lower():
                raise SqlError(
                    1913,
                    f"The operation failed because an index or statistics with name '{key.name}' already exists on table 'dbo.{table.name}'.",
                )
            if kind == "PK" and key.kind == "PK":
                raise SqlError(1779, f"Table '{table.name}' already has a primary key defined on it.")
            if clustered and key.clustered:
                raise SqlError(
                    1902,
                    f"Cannot create more than one clustered index on table 'dbo.{table.name}'. Drop the existing clustered index '{name}' before creating another.",
                )

    def drop_index(self) -> Change:
        """DROP INDEX [IF EXISTS] name ON table."""
        c = self.clauses
        c.expect("DROP", "INDEX")
        optional = c.takes("IF", "EXISTS")
        name = c.name()
        c.expect("ON")
        table = self.existing()
        c.end()
        change = Change("DROP INDEX", table=table.name)
        for known, kind, _ in self.context.catalogue.indexes(table):
            if known.lower() == name.lower():
                if kind != "IX":
                    raise SqlError(
                        3723,
                        f"An explicit DROP INDEX is not allowed on index 'dbo.{table.name}.{name}'. It is being used for constraint enforcement.",
                    )
                change.script.append(f"DROP INDEX dbo.{internal_name(kind, table.name, known)}")
                return change
        if not optional:
            raise SqlError(
                3701,
                f"Cannot drop the index 'dbo.{table.name}.{name}', because it does not exist or you do not have permission.",
                11,
            )
        return change

    # --- dropping and altering -------------------------------------------------------------------------------------

    def drop_table(self) -> Change:
        """DROP TABLE [IF EXISTS] table, …"""
        c = self.clauses
        c.expect("DROP", "TABLE")
        optional = c.takes("IF", "EXISTS")
        change = Change("DROP TABLE")
        while True:
            _, name = self.target()
            table = self.context.catalogue.find("dbo", name)
            if table:
                change.script.append(f"DROP TABLE dbo.{quoted(table.name)}")
                change.table = table.name
            elif not optional:
                raise SqlError(
                    3701,
                    f"Cannot drop the table 'dbo.{name}', because it does not exist or you do not have permission.",
                    11,
                )
            if not c.takes(","):
                break
        c.end()
        return change

    def truncate_table(self) -> Change:
        """TRUNCATE TABLE table."""
        c = self.clauses
        c.expect("TRUNCATE", "TABLE")
        table = self.context.catalogue.table("dbo", self.target()[1])
        c.end()
        return Change("TRUNCATE TABLE", [f"TRUNCATE TABLE dbo.{quoted(table.name)}"], table=table.name)

    def alter_table(self) -> Change:
        """ALTER TABLE table ADD | DROP | ALTER COLUMN | CHECK CONSTRAINT | NOCHECK CONSTRAINT."""
        c = self.clauses
        c.expect("ALTER", "TABLE")
        table = self.existing()
        change = Change("ALTER TABLE", table=table.name)
        trusted = True
        checked = c.takes("WITH", "CHECK")
        if not checked and c.takes("WITH", "NOCHECK"):
            trusted = False
        if c.takes("ADD"):
            self._add(table, change, trusted=trusted)
        elif c.takes("DROP"):
            self._drop(table, change)
        elif c.takes("ALTER", "COLUMN"):
            self._alter_column(table, change)
        elif c.takes("CHECK", "CONSTRAINT"):
            self._trust(table, change, c.name(), validate=checked)
        elif c.takes("NOCHECK", "CONSTRAINT"):
            self._distrust(table, change, c.name())
        else:
            raise NotUnderstoodError(c.near(), self.statement)
        c.end()
        return change

    def _add(self, table: Table, change: Change, *, trusted: bool) -> None:
        c = self.clauses
        while True:
            name = c.name() if c.takes("CONSTRAINT") else ""
            kinds = {column.name.lower(): column.kind for column in table.columns}
            if c.word() in ("PRIMARY", "UNIQUE"):
                key = self._key(table.name, name)
                self._refuse_known_name(key.name)
                self._refuse_known_index(table, key)
                nullable = {column.name.lower() for column in table.columns if column.nullable}
                if key.kind == "PK" and any(column.lower() in nullable for column, _ in key.columns):
                    raise SqlError(
                        8111, f"Cannot define PRIMARY KEY constraint on nullable column in table '{table.name}'."
                    )
                self._key_sql(table.name, key, kinds, change)
            elif c.word() == "FOREIGN":
                change.script += self._foreign_key(table.name, name, change, trusted=trusted)
            elif c.word() == "CHECK":
                change.script += self._check(table.name, name, list(table.columns), change)
            elif c.takes("DEFAULT"):
                self._add_default(table, change, name)
            elif name:
                raise NotUnderstoodError(c.near(), self.statement)
            else:
                self._add_column(table, change)
            if not c.takes(","):
                return

    def _add_column(self, table: Table, change: Change) -> None:
        column = self._new_column()
        if any(known.name.lower() == column.name.lower() for known in table.columns):
            raise SqlError(
                2705,
                f"Column names in each table must be unique. Column name '{column.name}' in table 'dbo.{table.name}' is specified more than once.",
            )
        if column.key:
            raise NotUnderstoodError("a key in ALTER TABLE ADD column", self.statement)
        place = int(hashlib.md5(column.name.encode(), usedforsecurity=False).hexdigest()[:8], 16)
        change.script.append(
            f"ALTER TABLE dbo.{quoted(table.name)} ADD COLUMN {self._column_sql(table.name, column, place)}"
        )
        change.script.append(self._column_comment(table.name, column))

    def _add_default(self, table: Table, change: Change, name: str) -> None:
        text = self._default_text()
        self.clauses.expect("FOR")
        column = table.column(self.clauses.name())
        e = Queries(self.context).expressions(Scope())
        value = cast(e.value(parse_query(f"SELECT {text} AS v").expressions[0].this), column.kind, assign=True)
        told = column_told(column.kind) | {
            "default": text,
            "default_name": name or _made_up("DF", table.name, column.name),
        }
        place = f"dbo.{quoted(table.name)}"
        change.script.append(f"ALTER TABLE {place} ALTER COLUMN {quoted(column.name)} SET DEFAULT {value.text}")
        change.script.append(
            f"COMMENT ON COLUMN {place}.{quoted(column.name)} IS {literal(json.dumps(told, ensure_ascii=False))}"
        )

    def _drop(self, table: Table, change: Change) -> None:
        c = self.clauses
        place = f"dbo.{quoted(table.name)}"
        if c.takes("COLUMN"):
            c.takes("IF", "EXISTS")
            change.script.append(f"ALTER TABLE {place} DROP COLUMN {quoted(table.column(c.name()).name)} RESTRICT")
            return
        c.takes("CONSTRAINT")
        optional = c.takes("IF", "EXISTS")
        name = c.name()
        for known, kind, _ in self.context.catalogue.indexes(table):
            if known.lower() == name.lower() and kind != "IX":
                change.script.append(f"DROP INDEX dbo.{internal_name(kind, table.name, known)}")
                return
        stored = self.context.catalogue.constraint(table, name)
        if stored:
            change.script.append(f"ALTER TABLE {place} DROP CONSTRAINT {stored}")
            return
        column = self.context.catalogue.default_column(table, name)
        if column:
            told = literal(json.dumps(column_told(table.column(column).kind), ensure_ascii=False))
            change.script.append(f"ALTER TABLE {place} ALTER COLUMN {quoted(column)} DROP DEFAULT")
            change.script.append(f"COMMENT ON COLUMN {place}.{quoted(column)} IS {told}")
        elif not optional:
            raise SqlError(3728, f"'{name}' is not a constraint.")

    def _alter_column(self, table: Table, change: Change) -> None:
        """Another length or nullability; a change of the kind of type is refused."""
        column = self._new_column()
        old = table.column(column.name)
        if old.kind.name != column.kind.name or column.default or column.key:
            raise NotUnderstoodError("ALTER COLUMN to another type", self.statement)
        place, name = f"dbo.{quoted(table.name)}", quoted(old.name)
        for stored in self.context.catalogue.own_checks(table, old.name):
            change.script.append(f"ALTER TABLE {place} DROP CONSTRAINT {stored}")
        change.script.append(f"ALTER TABLE {place} ALTER COLUMN {name} TYPE {column.kind.pg}")
        word = "SET" if column.nullable is False else "DROP"
        change.script.append(f"ALTER TABLE {place} ALTER COLUMN {name} {word} NOT NULL")
        check = self._check_sql(table.name, old.name, column.kind)
        if check:
            number = int(hashlib.md5(old.name.encode(), usedforsecurity=False).hexdigest()[:8], 16)
            change.script.append(f"ALTER TABLE {place} ADD CONSTRAINT {check[0]}_{number} CHECK ({check[1]})")
        told = literal(json.dumps(column_told(column.kind), ensure_ascii=False))
        change.script.append(f"COMMENT ON COLUMN {place}.{name} IS {told}")

    def _distrust(self, table: Table, change: Change, name: str) -> None:
        """NOCHECK CONSTRAINT: PostgreSQL's triggers behind the foreign keys no longer fire, on neither side."""
        catalogue = self.context.catalogue
        for stored in catalogue.foreign_keys(table, None if name.upper() == "ALL" else name):
            change.script += [
                f"ALTER TABLE {on} DISABLE TRIGGER {trigger}" for on, trigger in catalogue.triggers(stored)
            ]
            change.script.append(
                "INSERT INTO mssql.untrusted SELECT oid FROM pg_constraint"
                f" WHERE conname = '{stored}' ON CONFLICT DO NOTHING"
            )

    def _trust(self, table: Table, change: Change, name: str, *, validate: bool) -> None:
        """CHECK CONSTRAINT: enables, and WITH CHECK looks at the rows that are there."""
        for stored in self.context.catalogue.foreign_keys(table, None if name.upper() == "ALL" else name):
            if validate:
                change.script.append(self.context.catalogue.revalidation(table, stored))
            else:
                triggers = self.context.catalogue.triggers(stored)
                change.script += [f"ALTER TABLE {on} ENABLE TRIGGER {trigger}" for on, trigger in triggers]
            change.names[stored] = self.context.catalogue.key_told(stored)


def column_told(kind: SqlType) -> dict[str, object]:
    """What a column's comment says about its type."""
    precision = kind.precision
    if kind.name == "datetime2":
        precision = 19 if kind.scale == 0 else 20 + kind.scale
    told: dict[str, object] = {
        "type": kind.name,
        "length": kind.length,
        "precision": precision,
        "scale": kind.scale,
        "max_length": kind.bytes_stored(),
    }
    return told | ({"collation": kind.collation} if kind.is_string else {})


def internal_name(kind: str, table: str, name: str) -> str:
    """PostgreSQL's name of an index or constraint: SQL Server's may be longer than PostgreSQL's 63 bytes, and the same
    on two tables."""
    digest = hashlib.md5(f"{table.lower()}\0{name.lower()}".encode(), usedforsecurity=False).hexdigest()
    return f"{kind.lower()}_{digest[:24]}"


def _made_up(kind: str, table: str, rest: str) -> str:
    """A name for a constraint that was given none, in the manner of SQL Server's `PK__table__3213E83F`."""
    digest = hashlib.md5(f"{table}\0{rest}".encode(), usedforsecurity=False).hexdigest()
    return f"{kind}__{table[:20]}__{digest[:8].upper()}"
