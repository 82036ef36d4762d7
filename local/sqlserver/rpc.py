"""RPC requests: parametrised statements, prepared statements, procedures ([MS-TDS] 2.2.6.6)."""

import struct
from dataclasses import dataclass

from local.sqlserver import driverprocedures, tokens
from local.sqlserver.context import Variable
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.procedures import Argument, call, declarations, run_body
from local.sqlserver.session import Session
from local.sqlserver.sqltypes import INT, SqlType
from local.sqlserver.wiretypes import read_raw, read_type, to_text

_BY_NUMBER = {
    10: "sp_executesql",
    11: "sp_prepare",
    12: "sp_execute",
    13: "sp_prepexec",
    14: "sp_prepexecrpc",
    15: "sp_unprepare",
}
_SEPARATORS = (0xFF, 0x80, 0xFE)
_BY_REFERENCE = 0x01


@dataclass(slots=True)
class Parameter:
    """A parameter of an RPC."""

    name: str
    kind: SqlType
    value: bytes | None
    by_reference: bool


@dataclass(slots=True)
class Request:
    """One call of an RPC message."""

    procedure: str
    parameters: list[Parameter]

    def text(self, place: int) -> str:
        """A parameter that is a string."""
        return (self.parameters[place].value or b"").decode()


def parse(payload: bytes) -> list[Request]:
    """The calls of an RPC message; fast_executemany puts many into one."""
    (at,) = struct.unpack_from("<I", payload, 0)
    found = []
    while at < len(payload):
        request, at = _request(payload, at)
        found.append(request)
        at += 1
    return found


def _request(payload: bytes, at: int) -> tuple[Request, int]:
    (length,) = struct.unpack_from("<H", payload, at)
    at += 2
    if length == 0xFFFF:
        (number,) = struct.unpack_from("<H", payload, at)
        at += 2
        name = _BY_NUMBER.get(number, f"procedure number {number}")
    else:
        name = payload[at : at + 2 * length].decode("utf-16-le")
        at += 2 * length
    at += 2  # option flags
    parameters = []
    while at < len(payload) and payload[at] not in _SEPARATORS:
        parameter, at = _parameter(payload, at)
        parameters.append(parameter)
    return Request(name, parameters), at


def _parameter(payload: bytes, at: int) -> tuple[Parameter, int]:
    length = payload[at]
    name = payload[at + 1 : at + 1 + 2 * length].decode("utf-16-le").lstrip("@")
    at += 1 + 2 * length
    status = payload[at]
    wire, at = read_type(payload, at + 1)
    raw, at = read_raw(wire, payload, at)
    value = None if raw is None else to_text(wire.kind, raw)
    return Parameter(name.lower(), wire.kind, value, bool(status & _BY_REFERENCE)), at


def run(session: Session, payload: bytes) -> None:
    """Runs every call of a message and writes the responses; an error of one ends the message."""
    requests = parse(payload)
    session.in_procedure = True
    try:
        for place, request in enumerate(requests):
            more = tokens.MORE if place + 1 < len(requests) else 0
            try:
                session.misbehave(_described(request))
                status = _run_one(session, request)
            except SqlError as problem:
                session.problem_in_procedure(problem)
                return
            session.channel.write(tokens.return_status(status))
            _return_values(session, request)
            session.channel.write(tokens.done(more, tokens.COMMAND["PROCEDURE"], 0, tokens.DONE_PROC))
    finally:
        session.in_procedure = False
        session.translated.clear()


def _described(request: Request) -> str:
    """Procedure and texts of a call, for faults that wait for a certain statement."""
    texts = [
        parameter.value.decode(errors="replace")
        for parameter in request.parameters
        if parameter.value and parameter.kind.is_unicode
    ]
    return " ".join([request.procedure, *texts])


def _return_values(session: Session, request: Request) -> None:
    for ordinal, parameter in enumerate(request.parameters):
        if parameter.by_reference:
            name = f"@{parameter.name}" if parameter.name else ""
            session.channel.write(tokens.return_value(ordinal, name, parameter.kind, parameter.value))


def _run_one(session: Session, request: Request) -> int:
    name = request.procedure.lower().replace("[", "").replace("]", "").removeprefix("sys.")
    handler = _HANDLERS.get(name)
    if handler is not None:
        return handler(session, request)
    driver = driverprocedures.PROCEDURES.get(name)
    if driver is not None:
        return driver(session, [parameter.value for parameter in request.parameters])
    if name.startswith(("procedure number", "sp_cursor")):
        raise NotUnderstoodError(f"RPC {request.procedure}")
    return _call(session, request)


def _call(session: Session, request: Request) -> int:
    return _call_named(session, request.procedure, request.parameters)


def _call_named(session: Session, procedure: str, parameters: list[Parameter]) -> int:
    """A stored procedure by its name; output parameters take their values back."""
    schema, _, name = procedure.replace("[", "").replace("]", "").rpartition(".")
    variables, arguments = {}, []
    for place, parameter in enumerate(parameters):
        target = f"out{place}" if parameter.by_reference else ""
        variables[f"out{place}"] = Variable(parameter.kind, parameter.value)
        arguments.append(Argument(parameter.name, parameter.kind, parameter.value, target))
    status = call(session, name, arguments, variables, schema)
    for place, parameter in enumerate(parameters):
        parameter.value = variables[f"out{place}"].value
    return status


def _statement(session: Session, text: str, declared: dict[str, SqlType], given: list[Parameter]) -> int:
    """Runs a parametrised statement; parameters come by name or in order."""
    variables = {name: Variable(kind) for name, kind in declared.items()}
    if len(given) > len(declared):
        raise SqlError(8144, "Procedure or function has too many arguments specified.")
    for place, parameter in enumerate(given):
        name = parameter.name or list(declared)[place]
        if name not in variables:
            raise SqlError(8145, f"@{name} is not a parameter.")
        variables[name] = _bound(session, parameter, declared[name])
    missing = list(declared)[len(given) :]
    if missing and not any(parameter.name for parameter in given):
        raise SqlError(8178, f"The parameterized query expects the parameter '@{missing[0]}', which was not supplied.")
    status = run_body(session, text, variables)
    for place, parameter in enumerate(given):
        if parameter.by_reference:
            parameter.value = variables[parameter.name or list(declared)[place]].value
    return status


def _bound(session: Session, parameter: Parameter, declared: SqlType) -> Variable:
    """The parameter as the type it is declared with; most come as that type already."""
    same = parameter.kind.name == declared.name and parameter.kind.scale == declared.scale
    if same or parameter.value is None:
        return Variable(declared, parameter.value)
    holder = {"sent": Variable(parameter.kind, parameter.value), "bound": Variable(declared)}
    session.assign("bound", "@sent", holder)
    return holder["bound"]


def _executesql(session: Session, request: Request) -> int:
    declared = declarations(request.text(1)) if len(request.parameters) > 1 else {}
    return _statement(session, request.text(0), declared, request.parameters[2:])


def _prepare(session: Session, request: Request) -> int:
    """sp_prepare @handle OUTPUT, @params, @statement, @options."""
    _keep(session, request)
    return 0


def _keep(session: Session, request: Request) -> tuple[dict[str, SqlType], str]:
    declared = declarations(request.text(1))
    handle = session.new_handle()
    session.handles[handle] = (declared, request.text(2))
    request.parameters[0].kind = INT
    request.parameters[0].value = str(handle).encode()
    return declared, request.text(2)


def _prepexec(session: Session, request: Request) -> int:
    """sp_prepexec @handle OUTPUT, @params, @statement, values."""
    before = request.parameters[0].value
    if before:
        session.handles.pop(int(before), None)
    declared, text = _keep(session, request)
    return _statement(session, text, declared, request.parameters[3:])


def _prepexecrpc(session: Session, request: Request) -> int:
    """sp_prepexecrpc @handle OUTPUT, @procedure, values: how ODBC sends `{CALL procedure(?)}`."""
    handle = session.new_handle()
    session.handles[handle] = (None, request.text(1))
    request.parameters[0].kind = INT
    request.parameters[0].value = str(handle).encode()
    return _call_named(session, request.text(1), request.parameters[2:])


def _execute(session: Session, request: Request) -> int:
    handle = int(request.parameters[0].value or 0)
    if handle not in session.handles:
        raise SqlError(8179, f"Could not find prepared statement with handle {handle}.")
    declared, text = session.handles[handle]
    if declared is None:
        return _call_named(session, text, request.parameters[1:])
    return _statement(session, text, declared, request.parameters[1:])


def _unprepare(session: Session, request: Request) -> int:
    session.handles.pop(int(request.parameters[0].value or 0), None)
    return 0


_HANDLERS = {
    "sp_executesql": _executesql,
    "sp_prepare": _prepare,
    "sp_prepexec": _prepexec,
    "sp_prepexecrpc": _prepexecrpc,
    "sp_execute": _execute,
    "sp_unprepare": _unprepare,
}
