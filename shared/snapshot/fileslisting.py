"""Comparing the target container with the index: both in the order of names, page by page, whatever their size.

The service lists blobs in lexicographic order of their names
(https://learn.microsoft.com/rest/api/storageservices/list-blobs), which for lower-case UUIDs is the order of their bytes.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
from azure.storage.blob import BlobProperties, ContainerClient

from shared.filecontracts import ListingState
from shared.snapshot.members import uuid_text
from shared.snapshot.names import shown

BLOBS_PER_PAGE = 5_000
SHOWN = 100

type Row = tuple[bytes, int, bytes | None]
"""UUID, bytes and MD5 of a file in the index."""


class Comparison:
    """A comparison that goes on from `state`. `files`: `uuid`, `size` and `md5` of the index, sorted by UUID."""

    def __init__(self, files: pa.Table, container: ContainerClient, prefix: str, state: ListingState) -> None:
        self._files = files
        self._container = container
        self._prefix = prefix
        self.state = state

    def advance(self, enough: Callable[[], bool]) -> ListingState:
        """Compare page after page until `enough()` holds, or to the end."""
        state = self.state
        listing = self._container.list_blobs(name_starts_with=self._prefix or None, results_per_page=BLOBS_PER_PAGE)
        pages: Any = listing.by_page(continuation_token=state.page)
        for page in pages:
            self._page(list(page))
            state.page = pages.continuation_token
            if not state.page:
                break
            if enough():
                return state
        for row in range(state.position, self._files.num_rows):
            self._missing(self._files["uuid"][row].as_py())
        state.position, state.finished, state.page = self._files.num_rows, True, None
        return state

    def _page(self, blobs: list[BlobProperties]) -> None:
        """Compare one page with the stretch of the index that it can match."""
        state = self.state
        rows = self._rows(state.position)
        row = next(rows, None)
        for blob in blobs:
            state.blobs += 1
            state.bytes += int(blob.size)
            name = blob.name[len(self._prefix) :]
            while row is not None and uuid_text(row[0]) < name:
                self._missing(row[0])
                row = self._next(rows)
            if row is not None and uuid_text(row[0]) == name:
                self._compare(blob, *row[1:])
                row = self._next(rows)
            else:
                state.unexpected += 1
                self._example(f"{shown(name)} is in the container, but not in the snapshot.")

    def _rows(self, start: int) -> Iterator[Row]:
        for at in range(start, self._files.num_rows, BLOBS_PER_PAGE):
            stretch = self._files.slice(at, BLOBS_PER_PAGE).to_pydict()
            yield from zip(stretch["uuid"], stretch["size"], stretch["md5"], strict=True)

    def _next(self, rows: Iterator[Row]) -> Row | None:
        self.state.position += 1
        return next(rows, None)

    def _compare(self, blob: BlobProperties, size: int, md5: bytes | None) -> None:
        state = self.state
        if blob.size != size:
            state.size_differences += 1
            self._example(f"{blob.name} has {blob.size:,} bytes, expected {size:,}.")
            return
        found = blob.content_settings.content_md5
        if md5 is None or not found:
            state.md5_unknown += 1
        elif bytes(found) == md5:
            state.md5_equal += 1
        else:
            state.md5_differences += 1
            self._example(f"{blob.name} has another MD5 than in the snapshot.")

    def _missing(self, uuid: bytes) -> None:
        self.state.missing += 1
        self._example(f"{uuid_text(uuid)} is in the snapshot, but not in the container.")

    def _example(self, sentence: str) -> None:
        if len(self.state.examples) < SHOWN:
            self.state.examples.append(sentence)
