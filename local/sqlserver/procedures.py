"""EXEC: the database's own procedures, and the system procedures that the drivers and our statements call."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from local.sqlserver import changes, tokens
from local.sqlserver.cells import encoder, null_cell
from local.sqlserver.clauses import Clauses
from local.sqlserver.context import Variable
from local.sqlserver.errors import NotUnderstoodError, ReturnError, SqlError, syntax_error
from local.sqlserver.parsing import parse_batch
from local.sqlserver.results import raw_value, values_of
from local.sqlserver.session import Session
from local.sqlserver.sqltypes import INT, MAX, SYSNAME, SqlType, collation_bytes, nvarchar, varbinary, varchar
from local.sqlserver.store import text


@dataclass(slots=True)
class Argument:
    """An argument of a call: by name or by place; `output` names the caller's variable that takes the value back."""

    name: str
    kind: SqlType
    value: bytes | None
    output: str = ""


@dataclass
class Procedure:
    """A stored procedure, from its text."""

    name: str
    replaces: bool
    parameters: list[tuple[str, SqlType, str | None, bool]] = field(default_factory=list)
    body: str = ""


def parse_procedure(statement: str) -> Procedure:
    """Reads CREATE [OR ALTER] | ALTER PROCEDURE."""
    c = Clauses(statement)
    replaces = c.takes("ALTER")
    if not replaces:
        c.expect("CREATE")
        replaces = c.takes("OR", "ALTER")
    if not (c.takes("PROCEDURE") or c.takes("PROC")):
        raise NotUnderstoodError(statement)
    _, schema, name = c.qualified()
    if schema.lower() not in ("", "dbo"):
        raise SqlError(
            2760, f'The specified schema name "{schema}" either does not exist or you do not have permission to use it.'
        )
    procedure = Procedure(name, replaces)
    opened = c.takes("(")
    while c.word() == "@":
        parameter = c.variable()
        c.takes("AS")
        kind = c.data_type()
        default = c.until(",", "AS", "OUTPUT", "OUT", ")", "WITH") if c.takes("=") else None
        output = c.takes("OUTPUT") or c.takes("OUT")
        procedure.parameters.append((parameter.lower(), kind, default, output))
        c.takes(",")
    if opened:
        c.expect(")")
    c.expect("AS")
    procedure.body = c.rest()
    parse_batch(procedure.body)
    return procedure


# --- EXEC ------------------------------------------------------------------------------------------------------------


def execute(session: Session, statement: str, variables: dict[str, Variable]) -> None:
    """EXEC [@status =] procedure arguments, or EXEC('text')."""
    c = Clauses(statement)
    if not c.takes("EXEC"):
        c.expect("EXECUTE")
    if c.word() == "(":
        holder = {"text": Variable(nvarchar(MAX)), **variables}
        session.assign("text", c.parenthesised(), holder)
        c.end()
        session.block(parse_batch((holder["text"].value or b"").decode()), {})
        return
    status = ""
    if c.word() == "@":
        status = c.variable().lower()
        c.expect("=")
    _, schema, name = c.qualified()
    arguments = _arguments(session, c, variables)
    code = call(session, name, arguments, variables, schema)
    if status:
        if status not in variables:
            raise SqlError(137, f'Must declare the scalar variable "@{status}".', 15)
        variables[status].value = str(code).encode()


def _arguments(session: Session, c: Clauses, variables: dict[str, Variable]) -> list[Argument]:
    found: list[Argument] = []
    while not c.done:
        name = ""
        if c.word() == "@" and c.word(2) == "=":
            name = c.variable().lower()
            c.expect("=")
        source = c.until(",", "OUTPUT", "OUT")
        output = c.takes("OUTPUT") or c.takes("OUT")
        found.append(_argument(session, name, source, variables, output=output))
        if not c.takes(","):
            break
    c.end()
    return found


def _argument(session: Session, name: str, source: str, variables: dict[str, Variable], *, output: bool) -> Argument:
    if source.startswith("@") and not source.startswith("@@"):
        key = source[1:].strip().lower()
        if key not in variables:
            raise SqlError(137, f'Must declare the scalar variable "{source}".', 15)
        return Argument(name, variables[key].kind, variables[key].value, key if output else "")
    if output:
        raise SqlError(179, "Cannot use the OUTPUT option when passing a constant to a stored procedure.", 15)
    if re.fullmatch(r"\w+", source) and not source[0].isdigit() and source.upper() != "NULL":
        return Argument(name, SYSNAME, source.encode())  # EXEC takes a bare word for a string
    value, translated = changes.scalar(session.context(variables), source)
    rows = session.guarded(lambda: session.store.rows(translated.sql, values_of(translated, variables)))
    return Argument(name, value.kind, raw_value(value.kind, rows[0][0]))


def call(
    session: Session, name: str, arguments: list[Argument], variables: dict[str, Variable], schema: str = ""
) -> int:
    """Runs a procedure and gives its return code.

    Raises:
        SqlError: 2812 when there is none of that name.
    """
    system = SYSTEM.get(name.lower())
    if system is not None and schema.lower() in ("", "sys", "dbo"):
        return system(session, arguments, variables)
    rows = session.store.rows("SELECT definition FROM mssql.procedures WHERE lower(name) = lower($1)", [text(name)])
    if not rows:
        raise SqlError(2812, f"Could not find stored procedure '{schema + '.' if schema else ''}{name}'.")
    return _run(session, parse_procedure((rows[0][0] or b"").decode()), arguments, variables)


def _run(session: Session, procedure: Procedure, arguments: list[Argument], variables: dict[str, Variable]) -> int:
    local: dict[str, Variable] = {}
    outputs: dict[str, str] = {}
    given = {argument.name: argument for argument in arguments if argument.name}
    placed = [argument for argument in arguments if not argument.name]
    names = [parameter for parameter, *_ in procedure.parameters]
    if len(placed) > len(names) or set(given) - set(names):
        raise SqlError(8144, f"Procedure or function {procedure.name} has too many arguments specified.")
    for place, (parameter, kind, default, output) in enumerate(procedure.parameters):
        argument = placed[place] if place < len(placed) else given.get(parameter)
        if argument is None and default is None:
            raise SqlError(
                201,
                f"Procedure or function '{procedure.name}' expects parameter '@{parameter}', which was not supplied.",
            )
        local[parameter] = Variable(kind)
        if argument is None:
            session.assign(parameter, default or "NULL", local)
        else:
            source = {"argument": Variable(argument.kind, argument.value), parameter: local[parameter]}
            session.assign(parameter, "@argument", source)
            local[parameter] = source[parameter]
            if argument.output and output:
                outputs[parameter] = argument.output
    code = run_body(session, procedure.body, local)
    for parameter, target in outputs.items():
        source = {"argument": local[parameter], target: variables[target]}
        session.assign(target, "@argument", source)
        variables[target].value = source[target].value
    return code


def run_body(session: Session, body: str, variables: dict[str, Variable]) -> int:
    """Runs statements as a procedure does: DONEINPROC between them, a return code at the end."""
    before, session.in_procedure = session.in_procedure, True
    nocount = session.told.get("nocount")
    try:
        session.block(parse_batch(body), variables)
    except ReturnError as returned:
        return returned.status
    finally:
        session.in_procedure = before
        session.told["nocount"] = nocount or "OFF"
    return 0


# --- system procedures -----------------------------------------------------------------------------------------------

System = Callable[[Session, list[Argument], dict[str, Variable]], int]


def _named(arguments: list[Argument], names: list[str]) -> dict[str, Argument]:
    found: dict[str, Argument] = {}
    for place, argument in enumerate(arguments):
        key = argument.name or (names[place] if place < len(names) else "")
        if key not in names:
            raise SqlError(8145, f"@{argument.name or place} is not a parameter of the procedure.")
        found[key] = argument
    return found


def _value(found: dict[str, Argument], name: str, default: str = "") -> str:
    return (found[name].value or b"").decode() if name in found else default


def _getapplock(session: Session, arguments: list[Argument], variables: dict[str, Variable]) -> int:
    found = _named(arguments, ["resource", "lockmode", "lockowner", "locktimeout", "dbprincipal"])
    mode, owner = _value(found, "lockmode").lower(), _value(found, "lockowner", "Transaction").lower()
    if mode not in ("exclusive", "shared"):
        raise NotUnderstoodError(f"sp_getapplock @LockMode = '{mode}'")
    if owner not in ("session", "transaction"):
        raise SqlError(15625, f"Option '{owner}' not recognized for '@LockOwner' parameter.")
    if owner == "transaction" and not session.state.trancount:
        raise SqlError(1912, "The user must be in a transaction to acquire a transaction-owned application lock.")
    wait = _value(found, "locktimeout", str(session.settings.lock_timeout))
    rows = session.guarded(
        lambda: session.store.rows(
            "SELECT mssql.getapplock($1, $2::boolean, $3::boolean, $4::int)",
            [
                text(_value(found, "resource")),
                text(str(mode == "shared")),
                text(str(owner == "transaction")),
                text(wait),
            ],
        )
    )
    return int(rows[0][0] or 0)


def _releaseapplock(session: Session, arguments: list[Argument], variables: dict[str, Variable]) -> int:
    found = _named(arguments, ["resource", "lockowner", "dbprincipal"])
    if _value(found, "lockowner", "Transaction").lower() != "session":
        raise NotUnderstoodError("sp_releaseapplock of a lock a transaction owns (it ends with the transaction)")
    rows = session.store.rows(
        "SELECT pg_advisory_unlock(hashtextextended($1, 0)) OR pg_advisory_unlock_shared(hashtextextended($1, 0))",
        [text(_value(found, "resource"))],
    )
    if rows[0][0] != b"t":
        raise SqlError(1223, "Cannot release the application lock because it is not currently held.")
    return 0


def _tablecollations(session: Session, arguments: list[Argument], variables: dict[str, Variable]) -> int:
    """sp_tablecollations_100, which bulk copy asks before it starts."""
    (argument,) = arguments
    c = Clauses((argument.value or b"").decode())
    _, schema, name = c.qualified()
    table = session.context({}).catalogue.table(schema, name)
    columns = [
        ("colid", INT, True),
        ("name", SYSNAME, False),
        ("tds_collation", varbinary(5), True),
        ("collation", SYSNAME, True),
    ]
    encoders = [(encoder(kind), null_cell(kind)) for _, kind, _ in columns]
    out = tokens.column_metadata(columns)
    for place, column in enumerate(table.columns, 1):
        collation = column.kind.collation if column.kind.is_string else None
        told = b"\\x" + collation_bytes(collation).hex().encode() if collation else None
        cells = [str(place).encode(), column.name.encode(), told, collation.encode() if collation else None]
        out += b"\xd1" + b"".join(
            null if cell is None else encode(cell) for cell, (encode, null) in zip(cells, encoders, strict=True)
        )
    out += tokens.done(tokens.MORE | tokens.COUNT, 0xC1, len(table.columns), tokens.DONE_IN_PROC)
    session.channel.write(out + tokens.return_status(0) + tokens.done(tokens.MORE, 0xE0, 0, tokens.DONE_PROC))
    return 0


def _executesql(session: Session, arguments: list[Argument], variables: dict[str, Variable]) -> int:
    statement = (arguments[0].value or b"").decode() if arguments else ""
    declared = declarations((arguments[1].value or b"").decode()) if len(arguments) > 1 else {}
    local = {name: Variable(kind) for name, kind in declared.items()}
    outputs = {}
    for place, argument in enumerate(arguments[2:]):
        name = argument.name or list(declared)[place]
        if name not in local:
            raise SqlError(8178, f"The parameterized query expects a parameter that was not supplied: @{name}.")
        source = {"argument": Variable(argument.kind, argument.value), name: local[name]}
        session.assign(name, "@argument", source)
        local[name] = source[name]
        if argument.output:
            outputs[name] = argument.output
    code = run_body(session, statement, local)
    for name, target in outputs.items():
        variables[target].value = local[name].value
    return code


_LONG = {"NTEXT": nvarchar(MAX), "TEXT": varchar(MAX), "IMAGE": varbinary(MAX)}


def declarations(listed: str) -> dict[str, SqlType]:
    """`@P1 int, @P2 nvarchar(10) OUTPUT` as names and types."""
    found: dict[str, SqlType] = {}
    if not listed.strip():
        return found
    c = Clauses(listed)
    while True:
        name = c.variable().lower()
        c.takes("AS")
        long = _LONG.get(c.word())  # drivers declare long values with the types of old
        found[name] = long or c.data_type()
        c.at += 1 if long else 0
        _ = c.takes("OUTPUT") or c.takes("OUT")
        if not c.takes(","):
            break
    if not c.done:
        raise syntax_error(c.near())
    return found


SYSTEM: dict[str, System] = {
    "sp_getapplock": _getapplock,
    "sp_releaseapplock": _releaseapplock,
    "sp_tablecollations_100": _tablecollations,
    "sp_executesql": _executesql,
}
