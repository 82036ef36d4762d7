"""The dump in staging: its table of contents, and the rows of a table as COPY text, by ranged reads."""

from collections.abc import Iterable, Iterator
from typing import BinaryIO, cast

from shared.blobs.clients import staging
from shared.blobs.ranges import BlobFile, read_ahead
from shared.contracts import DumpRef
from shared.snapshot.dump import Dump, read_dump
from shared.snapshot.dumpdata import copy_text
from shared.snapshot.restoring import TableData

READ = 8 * 1024 * 1024  # bytes of one ranged read: Azurite spends half the CPU of two of 4 MiB (measured)
AHEAD = 2  # such reads under way beside the one in use: 24 MiB for each table being loaded


def open_dump(ref: DumpRef) -> Dump:
    """Read the dump's header and table of contents; raises what `read_dump` raises."""
    file = BlobFile(staging().get_blob_client(ref.blob), ref.size, ref.offset)
    return read_dump(cast("BinaryIO", file))


class Meter:
    """Counts the bytes of the dump that were read for a table, and with them how much of it is done."""

    def __init__(self) -> None:
        self.bytes = 0

    def passed(self, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """Yield the pieces, and count them."""
        for piece in pieces:
            self.bytes += len(piece)
            yield piece


def table_text(ref: DumpRef, table: TableData, meter: Meter | None = None) -> Iterator[bytes]:
    """Yield the rows of a located table as COPY text, in pieces of up to 1 MiB; raises what `copy_text` raises."""
    start = ref.offset + (table.offset or 0)
    end = ref.offset + ref.size if not table.size else start + table.size
    pieces = read_ahead(staging().get_blob_client(ref.blob), start, end, size=READ, ahead=AHEAD)
    return copy_text((meter or Meter()).passed(pieces), ref.compression, table.entry)
