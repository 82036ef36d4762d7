"""Finding the tables' data in a dump without offsets: pg_dump writes none when its output is a pipe.

One forward pass over the dump, some minutes an activity; what was found is kept in staging together with how far the
pass has come, at the border of two blocks or of two chunks of a large table's block.
"""

from collections.abc import Callable

from azure.storage.blob import BlobClient
from pydantic import BaseModel, ConfigDict, Field

from shared import runpaths
from shared.blobs import clients, documents
from shared.blobs.ranges import READ, read_ahead
from shared.errors import Refusal
from shared.snapshot.dump import MAX_ENTRIES, unreadable
from shared.snapshot.dumpdata import BlockScanner
from shared.snapshot.restoring import Contents


class Scanned(BaseModel):
    """How far the pass has come: `at` bytes of the dump, the blocks found before it as (entry, offset)."""

    model_config = ConfigDict(extra="forbid")

    at: int
    in_block: bool = Field(default=False, description="Whether it stopped between two chunks of a block.")
    found: list[tuple[int, int]]
    finished: bool = False


def advance(run: str, blob: BlobClient, offset: int, size: int, enough: Callable[[], bool]) -> Scanned:
    """Go on with the pass until `enough()` holds between two chunks, or to the dump's end.

    `offset` and `size` say where the dump lies in the blob. Raises `Refusal` DUMP_UNREADABLE.
    """
    place = clients.staged(run, runpaths.LOCATED)
    contents = documents.read(place, Contents)
    if contents is None:
        raise Refusal("RESTORE_UNPREPARED", run, "expected the dump's table of contents in staging, found none.")
    if contents.located:
        return Scanned(at=size, found=[], finished=True)
    state = documents.read(clients.staged(run, runpaths.SCANNED), Scanned) or Scanned(at=contents.data_offset, found=[])
    scanner = BlockScanner(at=state.at, in_block=state.in_block)
    for piece in read_ahead(blob, offset + state.at, offset + size, size=READ):
        scanner.scan(piece)
        if len(state.found) + len(scanner.found) > MAX_ENTRIES:
            raise unreadable("more blocks of data than a table of contents may have entries")
        at, in_block = scanner.place
        if enough() and at <= size:
            part = Scanned(at=at, in_block=in_block, found=[*state.found, *scanner.found])
            documents.write(clients.staged(run, runpaths.SCANNED), part)
            return part
    if not scanner.between_blocks:
        raise unreadable("its end in the middle of a table's data")
    _keep(run, contents, [*state.found, *scanner.found])
    return Scanned(at=size, found=[], finished=True)


def _keep(run: str, contents: Contents, blocks: list[tuple[int, int]]) -> None:
    found = dict(blocks)
    for table in contents.tables:
        if table.entry not in found:
            raise unreadable(f"no data of {table.label}")
        table.offset = found[table.entry]
    if len(found) < len(blocks):
        raise unreadable("the data of an entry twice")
    documents.write(clients.staged(run, runpaths.LOCATED), contents)
