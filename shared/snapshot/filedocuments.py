"""The rows of System.FileDocument in the temporary database, in the order of their file keys.

Table and columns are found by the data storage GUIDs of the System module, which are the same in every app
(https://docs.mendix.com/refguide/data-storage/), never by name: names are shortened and renamed.
"""

from collections.abc import Iterator
from typing import NamedTuple

import psycopg
from psycopg import sql

from shared.errors import Refusal

FILE_DOCUMENT = "170ce49d-f29c-4fac-99a6-b55e8a3aeb39"
WANTED = ("__uuid__", "hascontents", "deleteafterdownload", "size")
ROWS_AT_ONCE = 5_000

COLUMNS = """
    SELECT e.table_name, lower(a.attribute_name), a.column_name
    FROM public."mendixsystem$entity" e
    JOIN public."mendixsystem$attribute" a ON a.entity_id = e.id
    WHERE e.id = %s
"""


class FileDocument(NamedTuple):
    """One row. `size` is in bytes: -1 is not computed yet, 0 is "file not found" to the Mendix runtime."""

    id: int
    uuid: str | None
    has_contents: bool
    delete_after_download: bool
    size: int | None
    entity: str | None


def file_documents(connection: psycopg.Connection) -> Iterator[FileDocument]:
    """Yield all rows, ordered by their key (rows without one at the end), a few thousand in memory at a time.

    Raises `Refusal` NO_FILE_DOCUMENTS when the database does not know System.FileDocument.
    """
    table, columns = _names(connection)
    size = sql.Identifier(columns["size"]) if "size" in columns else sql.SQL("NULL")
    query = sql.SQL("""
        SELECT id, lower({uuid}), COALESCE({has_contents}, false), COALESCE({delete_after_download}, false), {size},
               {entity}
        FROM public.{table}
        ORDER BY lower({uuid}) COLLATE "C" NULLS LAST
    """).format(
        uuid=sql.Identifier(columns["__uuid__"]),
        has_contents=sql.Identifier(columns["hascontents"]),
        delete_after_download=sql.Identifier(columns["deleteafterdownload"]),
        size=size,
        entity=sql.Identifier("submetaobjectname"),
        table=sql.Identifier(table),
    )
    with connection.cursor("file_documents") as cursor:
        cursor.itersize = ROWS_AT_ONCE
        cursor.execute(query)
        for row in cursor:
            yield FileDocument(*row)


def _names(connection: psycopg.Connection) -> tuple[str, dict[str, str]]:
    """Return the table's name and its columns by attribute; `size` is missing before Mendix 8."""
    try:
        found = connection.execute(COLUMNS, (FILE_DOCUMENT,)).fetchall()
    except psycopg.errors.UndefinedTable:
        found = []
    columns = {str(attribute): str(column) for _, attribute, column in found if attribute in WANTED}
    missing = [name for name in WANTED if name not in columns and name != "size"]
    if missing:
        raise Refusal(
            "NO_FILE_DOCUMENTS",
            "System.FileDocument",
            f"expected the entity with its attributes in mendixsystem$entity, found no {', '.join(missing)}.",
            "Check that the backup is that of a Mendix app (7 or newer).",
        )
    return str(found[0][0]), columns
