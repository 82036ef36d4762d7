"""Procedures that only drivers call: what types there are, what a parameter probably is."""

from collections.abc import Callable

from sqlglot import exp

from local.sqlserver import tokens
from local.sqlserver.cells import encoder, null_cell
from local.sqlserver.errors import SqlError
from local.sqlserver.fromclause import find_table
from local.sqlserver.parsing import parse_batch, parse_query
from local.sqlserver.scope import Column
from local.sqlserver.session import Session
from local.sqlserver.sqltypes import INT, SMALLINT, SYSNAME, TINYINT, SqlType, nvarchar, type_info

Row = list[str | int | None]


def _send(session: Session, columns: list[tuple[str, SqlType]], rows: list[Row]) -> None:
    codecs = [(encoder(kind), null_cell(kind)) for _, kind in columns]
    out = tokens.column_metadata([(name, kind, True) for name, kind in columns])
    for row in rows:
        cells = (
            null if cell is None else encode(str(cell).encode())
            for cell, (encode, null) in zip(row, codecs, strict=True)
        )
        out += b"\xd1" + b"".join(cells)
    session.channel.write(out + tokens.done(tokens.MORE | tokens.COUNT, 0xC1, len(rows), tokens.DONE_IN_PROC))


_TYPE_COLUMNS = [
    ("TYPE_NAME", SYSNAME), ("DATA_TYPE", SMALLINT), ("PRECISION", INT), ("LITERAL_PREFIX", nvarchar(32)),
    ("LITERAL_SUFFIX", nvarchar(32)), ("CREATE_PARAMS", nvarchar(32)), ("NULLABLE", SMALLINT),
    ("CASE_SENSITIVE", SMALLINT), ("SEARCHABLE", SMALLINT), ("UNSIGNED_ATTRIBUTE", SMALLINT), ("MONEY", SMALLINT),
    ("AUTO_INCREMENT", SMALLINT), ("LOCAL_TYPE_NAME", SYSNAME), ("MINIMUM_SCALE", SMALLINT),
    ("MAXIMUM_SCALE", SMALLINT), ("SQL_DATA_TYPE", SMALLINT), ("SQL_DATETIME_SUB", SMALLINT), ("NUM_PREC_RADIX", INT),
    ("INTERVAL_PRECISION", SMALLINT), ("USERTYPE", SMALLINT),
]  # fmt: skip

# ODBC type number → name and column size, as SQLGetTypeInfo of ODBC 3 tells them.
_ODBC_TYPES = {
    -155: ("datetimeoffset", 34), -154: ("time", 16), -11: ("uniqueidentifier", 36), -10: ("nvarchar(max)", 1073741823),
    -9: ("nvarchar", 4000), -8: ("nchar", 4000), -7: ("bit", 1), -6: ("tinyint", 3), -5: ("bigint", 19),
    -4: ("varbinary(max)", 2147483647), -3: ("varbinary", 8000), -2: ("binary", 8000), -1: ("varchar(max)", 2147483647),
    1: ("char", 8000), 2: ("numeric", 38), 3: ("decimal", 38), 4: ("int", 10), 5: ("smallint", 5), 6: ("float", 53),
    7: ("real", 24), 12: ("varchar", 8000), 91: ("date", 10), 93: ("datetime2", 27),
}  # fmt: skip


def _datatype_info(session: Session, values: list[bytes | None]) -> int:
    """sp_datatype_info_100 @data_type, @ODBCVer."""
    wanted = int(values[0] or 0) if values else 0
    rows: list[Row] = []
    for number, (name, size) in _ODBC_TYPES.items():
        if wanted in (0, number):
            rows.append(
                [
                    name,
                    number,
                    size,
                    None,
                    None,
                    None,
                    1,
                    0,
                    3,
                    None,
                    0,
                    None,
                    name,
                    None,
                    None,
                    number,
                    None,
                    None,
                    None,
                    0,
                ]
            )
    _send(session, _TYPE_COLUMNS, rows)
    return 0


_DESCRIBED = [
    ("parameter_ordinal", INT), ("name", SYSNAME), ("suggested_system_type_id", INT),
    ("suggested_system_type_name", nvarchar(256)), ("suggested_max_length", SMALLINT), ("suggested_precision", TINYINT),
    ("suggested_scale", TINYINT), ("suggested_user_type_id", INT), ("suggested_user_type_database", SYSNAME),
    ("suggested_user_type_schema", SYSNAME), ("suggested_user_type_name", SYSNAME),
    ("suggested_assembly_qualified_type_name", nvarchar(4000)), ("suggested_xml_collection_id", INT),
    ("suggested_xml_collection_database", SYSNAME), ("suggested_xml_collection_schema", SYSNAME),
    ("suggested_xml_collection_name", SYSNAME), ("suggested_is_xml_document", SqlType("bit")),
    ("suggested_is_case_sensitive", SqlType("bit")), ("suggested_is_fixed_length_clr_type", SqlType("bit")),
    ("suggested_is_input", SqlType("bit")), ("suggested_is_output", SqlType("bit")), ("formal_parameter_name", SYSNAME),
    ("suggested_tds_type_id", INT), ("suggested_tds_length", INT),
]  # fmt: skip


def _describe_parameters(session: Session, values: list[bytes | None]) -> int:
    """sp_describe_undeclared_parameters @tsql: drivers ask it for the type of a parameter that is NULL.

    Only INSERT … VALUES is looked into, where a parameter is the value of a column; otherwise the answer has no rows,
    and drivers fall back to varchar.
    """
    rows: list[Row] = []
    for name, column in _inserted_columns(session, (values[0] or b"").decode()):
        kind = column.kind
        system = _system_type(session, kind.name)
        tds = type_info(kind)
        length = kind.bytes_stored()
        rows.append([len(rows) + 1, f"@{name}", system, kind.declared(), length, kind.precision, kind.scale,
                     *[None] * 9, 0, 0, 0, 1, 0, None, tds[0], 65535 if length == -1 else length])  # fmt: skip
    _send(session, _DESCRIBED, rows)
    return 0


def _system_type(session: Session, name: str) -> int:
    rows = session.store.rows(f"SELECT system_type_id FROM mssql.types WHERE name = '{name}'")
    return int(rows[0][0] or 0)


def _inserted_columns(session: Session, statement: str) -> list[tuple[str, Column]]:
    try:
        block = parse_batch(statement)
        tree = parse_query(statement) if len(block.statements) == 1 else None
    except SqlError:
        return []
    if not (isinstance(tree, exp.Insert) and isinstance(tree.expression, exp.Values)):
        return []
    named = isinstance(tree.this, exp.Schema)
    table = find_table(session.context({}), tree.this.this if named else tree.this)
    columns = [table.column(item.name) for item in tree.this.expressions] if named else list(table.columns)
    (first, *_) = tree.expression.expressions
    return [
        (item.this.name, column)
        for item, column in zip(first.expressions, columns, strict=False)
        if isinstance(item, exp.Parameter)
    ]


PROCEDURES: dict[str, Callable[[Session, list[bytes | None]], int]] = {
    "sp_datatype_info_100": _datatype_info,
    "sp_datatype_info": _datatype_info,
    "sp_describe_undeclared_parameters": _describe_parameters,
}
