"""What a statement can ask about the server, the database and its session."""

from dataclasses import replace

from local.sqlserver.casts import Sql
from local.sqlserver.collations import PATTERN
from local.sqlserver.errors import NotUnderstoodError
from local.sqlserver.expressions import Expressions
from local.sqlserver.functions.registry import FUNCTIONS, Arguments, Function, constant_of, function, int_of, text_of
from local.sqlserver.sqltypes import (
    INT,
    SYSNAME,
    SqlType,
    nvarchar,
)
from local.sqlserver.store import literal

SERVER_PROPERTIES = {
    "engineedition": "3",
    "edition": "mxferry SQL Server stand-in",
    "productversion": "16.0.1000.6",
    "productlevel": "RTM",
    "productmajorversion": "16",
    "collation": "SQL_Latin1_General_CP1_CI_AS",
    "servername": "mxferry-sqlserver-stand-in",
    "machinename": "mxferry-sqlserver-stand-in",
    "isintegratedsecurityonly": "0",
}


@function("SERVERPROPERTY")
def _serverproperty(e: Expressions, arguments: Arguments) -> Sql:
    """sql_variant in SQL Server; nvarchar(128) here. A property SQL Server does not know is NULL, here it is refused."""
    (argument,) = arguments
    name = constant_of(e, argument)
    if name.lower() not in SERVER_PROPERTIES:
        raise NotUnderstoodError(f"SERVERPROPERTY('{name}')")
    return Sql(f"{literal(SERVER_PROPERTIES[name.lower()])}::text", nvarchar(128))


@function("DATABASEPROPERTYEX")
def _databasepropertyex(e: Expressions, arguments: Arguments) -> Sql:
    database, wanted = arguments
    name = constant_of(e, wanted)
    columns = {
        "collation": "collation_name",
        "status": "'ONLINE'",
        "updateability": "'READ_WRITE'",
        "recovery": "'FULL'",
        "isreadcommittedsnapshoton": "rcsi::int::text",
        "edition": "'mxferry SQL Server stand-in'",
        "serviceobjective": "NULL::text",  # as outside Azure SQL
    }
    if name.lower() not in columns:
        raise NotUnderstoodError(f"DATABASEPROPERTYEX('{name}')")
    where = f"lower(name) = lower({text_of(e, database).text})"
    return Sql(f"(SELECT {columns[name.lower()]} FROM mssql.databases WHERE {where})", nvarchar(128))


@function("DB_NAME")
def _db_name(e: Expressions, arguments: Arguments) -> Sql:
    if arguments:
        return Sql(f"(SELECT name FROM mssql.databases WHERE database_id = {int_of(e, arguments[0])})", SYSNAME)
    return Sql("mssql.db_name()", SYSNAME)


@function("DB_ID")
def _db_id(e: Expressions, arguments: Arguments) -> Sql:
    name = text_of(e, arguments[0]).text if arguments else "mssql.db_name()"
    return Sql(f"mssql.db_id({name})", INT)


@function("OBJECT_ID")
def _object_id(e: Expressions, arguments: Arguments) -> Sql:
    kind = text_of(e, arguments[1]).text if len(arguments) > 1 else "NULL"
    # As a subquery PostgreSQL asks once a statement, not once a row: 13 s against 0.01 s for the columns of one table.
    return Sql(f"(SELECT mssql.object_id({text_of(e, arguments[0]).text}, {kind}))", INT)


@function("OBJECT_NAME")
def _object_name(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    return Sql(f"(SELECT name FROM sys.objects AS o WHERE o.object_id = {int_of(e, argument)})", SYSNAME)


@function("SCHEMA_NAME")
def _schema_name(e: Expressions, arguments: Arguments) -> Sql:
    if not arguments:
        return Sql("'dbo'::text", SYSNAME)
    return Sql(f"(SELECT name FROM sys.schemas AS s WHERE s.schema_id = {int_of(e, arguments[0])})", SYSNAME)


@function("SCHEMA_ID")
def _schema_id(e: Expressions, arguments: Arguments) -> Sql:
    if not arguments:
        return Sql("1::int4", INT)
    return Sql(
        f"(SELECT schema_id FROM sys.schemas AS s WHERE lower(s.name) = lower({text_of(e, arguments[0]).text}))", INT
    )


@function("TYPE_NAME")
def _type_name(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    return Sql(f"(SELECT name FROM mssql.types AS t WHERE t.user_type_id = {int_of(e, argument)})", SYSNAME)


@function("COL_LENGTH")
def _col_length(e: Expressions, arguments: Arguments) -> Sql:
    table, column = (text_of(e, argument).text for argument in arguments)
    where = f"c.object_id = (SELECT mssql.object_id({table}, 'U')) AND lower(c.name) = lower({column})"
    return Sql(f"(SELECT c.max_length FROM sys.columns AS c WHERE {where})", SqlType("smallint"))


_PERMISSIONS = frozenset(
    [
        "any", "alter", "alter any schema", "alter any user", "connect", "control", "control server", "create database", "create function",
        "create procedure", "create schema", "create table", "create type", "create view", "delete", "execute", "insert",
        "references", "select", "update", "view any definition", "view database performance state",
        "view database state", "view definition", "view server state",
    ]
)  # fmt: skip


@function("HAS_PERMS_BY_NAME")
def _has_perms(e: Expressions, arguments: Arguments) -> Sql:
    """`dbo` may do everything, a user what was granted; a permission nobody has ever heard of is NULL, as in SQL Server."""
    securable, kind, permission = arguments[:3]
    what = e.value(kind)
    asked = f"lower({text_of(e, permission).text})"
    if what.constant and what.constant.upper() == "OBJECT":
        return Sql(f"(CASE WHEN mssql.object_id({text_of(e, securable).text}, NULL) IS NOT NULL THEN 1 END)::int4", INT)
    known = ", ".join(literal(name) for name in sorted(_PERMISSIONS))
    may = f"mssql.may({literal(e.context.session['user'])}, {asked})::int"
    return Sql(f"(CASE WHEN {asked} IN ({known}) THEN {may} END)::int4", INT)


@function("DATABASE_PRINCIPAL_ID", "USER_ID")
def _principal_id(e: Expressions, arguments: Arguments) -> Sql:
    (argument,) = arguments
    name = text_of(e, argument).text
    known = f"(SELECT principal_id FROM mssql.principals AS p WHERE lower(p.name) = lower({name}))"
    return Sql(f"(CASE lower({name}) WHEN 'dbo' THEN 1 ELSE {known} END)::int4", INT)


@function("COLLATIONPROPERTY")
def _collationproperty(e: Expressions, arguments: Arguments) -> Sql:
    collation, wanted = arguments
    if constant_of(e, wanted).lower() != "codepage":
        raise NotUnderstoodError(f"COLLATIONPROPERTY {wanted.sql(dialect='tsql')}")
    name = text_of(e, collation).text
    return Sql(
        f"(CASE WHEN {name} ~* {literal(PATTERN)} THEN CASE WHEN {name} ~* '_UTF8$' THEN 65001 ELSE 1252 END END)::int4",
        INT,
    )


@function("IS_ROLEMEMBER", "IS_SRVROLEMEMBER", "IS_MEMBER")
def _is_rolemember(e: Expressions, arguments: Arguments) -> Sql:
    """The one login is db_owner and sysadmin, and nothing else."""
    role = f"lower({text_of(e, arguments[0]).text})"
    roles = "'db_owner', 'sysadmin', 'public'"
    others = "'db_ddladmin', 'db_datareader', 'db_datawriter', 'db_securityadmin', 'db_accessadmin', 'serveradmin', 'dbcreator'"
    return Sql(f"(CASE WHEN {role} IN ({roles}) THEN 1 WHEN {role} IN ({others}) THEN 0 END)::int4", INT)


def _told(key: str, kind: SqlType) -> Function:
    def told(e: Expressions, arguments: Arguments) -> Sql:
        return Sql(f"{literal(e.context.session[key])}::text", kind)

    return told


for _name, _key in {
    "SUSER_SNAME": "login", "SUSER_NAME": "login", "ORIGINAL_LOGIN": "login", "USER_NAME": "user", "HOST_NAME": "host",
    "APP_NAME": "program", "PROGRAM_NAME": "program",
}.items():  # fmt: skip
    FUNCTIONS[_name] = _told(_key, nvarchar(128))


@function("XACT_STATE")
def _xact_state(e: Expressions, arguments: Arguments) -> Sql:
    return replace(e.context.globals["XACT_STATE"](), kind=SqlType("smallint"))


def _of_the_context(name: str) -> Function:
    def value(e: Expressions, arguments: Arguments) -> Sql:
        return e.context.globals[name]()

    return value


for _name in ("ERROR_NUMBER", "ERROR_MESSAGE", "ERROR_SEVERITY", "ERROR_STATE", "SCOPE_IDENTITY"):
    FUNCTIONS[_name] = _of_the_context(_name)
