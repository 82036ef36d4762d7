"""The index of the snapshot's members: Parquet in staging, written in parts, sealed into one blob, read in slices.

One row a member that the migration uses: `kind` (`file`, `dump`, `metadata`), `uuid` (16 bytes, files only), `offset`
(bytes from the tar's start to the data), `size` (bytes), `md5` (16 bytes, files only, absent where
it could not be taken in passing), `piece_md5s` (of files larger than 64 MiB: those of their pieces, 16 bytes each). Rows
are in the order of the tar, so that neighbours in the index are neighbours in the blob. A million files are some 40 MB,
so nothing here holds more than one column of it, or one slice.
"""

import io
from collections.abc import Iterator
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from azure.storage.blob import BlobClient

from shared.blobs.blocks import BlockSink, BlockWriter, commit
from shared.blobs.ranges import BlobFile
from shared.errors import Refusal
from shared.snapshot.digest import PIECE
from shared.snapshot.members import uuid_text
from shared.snapshot.names import shown

SCHEMA = pa.schema(
    [
        pa.field("kind", pa.dictionary(pa.int8(), pa.string()), nullable=False),
        pa.field("uuid", pa.binary(16)),
        pa.field("offset", pa.int64(), nullable=False),
        pa.field("size", pa.int64(), nullable=False),
        pa.field("md5", pa.binary(16)),
        pa.field("piece_md5s", pa.binary()),
    ]
)
ROWS_OF_GROUP = 10_000


class Row(NamedTuple):
    """One member of the index."""

    kind: str
    uuid: bytes | None
    offset: int
    size: int
    md5: bytes | None
    piece_md5s: bytes | None = None

    def piece_md5(self, number: int) -> bytes | None:
        """Return the MD5 of a piece of 64 MiB, the first being 0; of a smaller member, its own."""
        if self.piece_md5s is None:
            return self.md5 if self.size <= PIECE else None
        return self.piece_md5s[16 * number : 16 * number + 16]


def write_part(blob: BlobClient, rows: list[Row]) -> None:
    """Write some rows as a part of the index, in place of what an earlier delivery wrote."""
    sink = io.BytesIO()
    pq.write_table(_table(rows), sink)
    blob.upload_blob(sink.getvalue(), overwrite=True)


def seal(parts: Iterator[BlobClient], sealed: BlobClient) -> int:
    """Make one index of its parts, in their order; return its rows. Raises `Refusal` ARCHIVE_DUPLICATE."""
    rows = 0
    with BlockWriter(sealed) as writer:
        sink = BlockSink(writer)
        with pq.ParquetWriter(pa.PythonFile(sink, mode="w"), SCHEMA, compression="none") as parquet:
            for part in parts:
                table = pq.read_table(io.BytesIO(part.download_blob().readall()), schema=SCHEMA)
                rows += table.num_rows
                parquet.write_table(table, row_group_size=ROWS_OF_GROUP)
        sink.finish()
    commit(sealed, sink.blocks)
    _refuse_duplicates(sealed)
    return rows


def open_index(blob: BlobClient) -> pq.ParquetFile:
    """Return the sealed index for `slices` and for reading single columns."""
    # Columns of a row group lie side by side: one buffered read fetches them together.
    file = io.BufferedReader(BlobFile(blob), 1 << 20)
    return pq.ParquetFile(pa.PythonFile(file, mode="r"), pre_buffer=False)


def slice_of(index: pq.ParquetFile, start: int, stop: int) -> list[Row]:
    """Return the rows [start, stop); reads only the row groups they lie in."""
    rows: list[Row] = []
    at = 0
    for group in range(index.num_row_groups):
        count = index.metadata.row_group(group).num_rows
        if at < stop and at + count > start:
            table = index.read_row_group(group).slice(max(0, start - at), stop - max(start, at))
            rows.extend(_rows(table))
        at += count
    return rows


def files_by_uuid(index: pq.ParquetFile, columns: list[str]) -> pa.Table:
    """Return the files' `uuid` and the given columns, sorted by UUID: 24 MB for a million files with `size`."""
    tables = []
    for group in range(index.num_row_groups):
        table = index.read_row_group(group, columns=["uuid", *columns])
        tables.append(table.filter(pc.is_valid(table["uuid"])))
    table = pa.concat_tables(tables) if tables else SCHEMA.empty_table().select(["uuid", *columns])
    return table.take(pc.sort_indices(table, sort_keys=[("uuid", "ascending")]))


def _table(rows: list[Row]) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(SCHEMA)
    return pa.table([pa.array(list(column), field.type) for column, field in zip(columns, SCHEMA, strict=True)], SCHEMA)


def _rows(table: pa.Table) -> Iterator[Row]:
    columns: list[list[Any]] = [table[name].to_pylist() for name in SCHEMA.names]
    return map(Row, *columns)


def _refuse_duplicates(sealed: BlobClient) -> None:
    uuids = files_by_uuid(open_index(sealed), [])["uuid"].combine_chunks()
    if len(uuids) < 2:
        return
    same = pc.equal(uuids[1:], uuids[:-1])
    if (count := pc.sum(same).as_py()) == 0:
        return
    first = uuid_text(uuids[1:].filter(same)[0].as_py())
    raise duplicate(f"tree/{first[:2]}/{first[2:4]}/{first}", count)


def duplicate(name: str, count: int = 1) -> Refusal:
    """Return the refusal of an archive that holds a name twice: nobody can tell which of the two is meant."""
    return Refusal(
        "ARCHIVE_DUPLICATE",
        shown(name),
        f"expected every member once, found it again ({count:,} names are there more than once).",
        "Use the archive as Mendix Cloud made it; do not append to it.",
    )
