"""Finding the tables' data in a dump without offsets: pg_dump writes none when its output is a pipe.

One forward pass over the dump, some minutes an activity; what was found is kept in staging together with how far the
pass has come, always at the border of two blocks.
"""

from collections.abc import Callable

from azure.storage.blob import BlobClient
from pydantic import BaseModel, ConfigDict

from shared.blobs import documents
from shared.blobs.ranges import read_ahead
from shared.errors import Refusal
from shared.snapshot import places
from shared.snapshot.dump import unreadable
from shared.snapshot.dumpdata import BlockScanner
from shared.snapshot.restoring import Contents

SCANNED = "restore/scanned.json"


class Scanned(BaseModel):
    """How far the pass has come: `at` bytes of the dump, the blocks found before it as (entry, offset)."""

    model_config = ConfigDict(extra="forbid")

    at: int
    found: list[tuple[int, int]]
    finished: bool = False


def advance(run: str, blob: BlobClient, offset: int, size: int, enough: Callable[[], bool]) -> Scanned:
    """Go on with the pass until `enough()` holds between two blocks, or to the dump's end.

    `offset` and `size` say where the dump lies in the blob. Raises `Refusal` DUMP_UNREADABLE.
    """
    place = places.staged(run, places.LOCATED)
    contents = documents.read(place, Contents)
    if contents is None:
        raise Refusal("RESTORE_UNPREPARED", run, "expected the dump's table of contents in staging, found none.")
    if contents.located:
        return Scanned(at=size, found=[], finished=True)
    state = documents.read(places.staged(run, SCANNED), Scanned) or Scanned(at=contents.data_offset, found=[])
    scanner = BlockScanner(at=state.at)
    for piece in read_ahead(blob, offset + state.at, offset + size):
        scanner.scan(piece)
        if enough() and len(scanner.found) > 1:
            # The last block may not be whole yet: the next activity starts with it.
            *whole, (_, start) = scanner.found
            part = Scanned(at=start, found=[*state.found, *whole])
            documents.write(places.staged(run, SCANNED), part)
            return part
    if not scanner.between_blocks:
        raise unreadable("its end in the middle of a table's data")
    _keep(run, contents, dict([*state.found, *scanner.found]))
    return Scanned(at=size, found=[], finished=True)


def _keep(run: str, contents: Contents, found: dict[int, int]) -> None:
    for table in contents.tables:
        if table.entry not in found:
            raise unreadable(f"no data of {table.label}")
        table.offset = found[table.entry]
    documents.write(places.staged(run, places.LOCATED), contents)
