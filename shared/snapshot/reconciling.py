"""Rows of System.FileDocument against the blobs of the target container: a merge of two sorted streams.

Both come in the order of the file keys, so neither is ever in memory as a whole.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any, Protocol

from shared.contracts import Reconciled
from shared.errors import Finding
from shared.snapshot.filedocuments import FileDocument
from shared.snapshot.names import shown

SHOWN = 100


class Sink(Protocol):
    """Where the full list goes."""

    def write(self, data: Any) -> int:
        """Take more bytes."""
        ...


def reconcile(rows: Iterable[FileDocument], blobs: Iterable[tuple[str, int]], sink: Sink) -> Reconciled:
    """Return what fits and what does not; every difference is also written to `sink` as a line of JSON.

    `blobs` are (name without prefix, bytes) in the order of names; `rows` in the order of keys, those without at the end.
    """
    result = Reconciled()
    for row, blob in _merged(rows, _counted(blobs, result)):
        if row is None:
            if blob is not None:
                _orphan(result, sink, *blob)
            continue
        result.rows += 1
        result.rows_with_contents += row.has_contents
        if row.has_contents and blob is None:
            _missing(result, sink, row)
        elif row.has_contents and blob is not None:
            _sizes(result, sink, row, blob[1])
    result.findings = _findings(result)
    return result


def _counted(blobs: Iterable[tuple[str, int]], result: Reconciled) -> Iterator[tuple[str, int]]:
    for blob in blobs:
        result.blobs += 1
        yield blob


def _merged(
    rows: Iterable[FileDocument], blobs: Iterator[tuple[str, int]]
) -> Iterator[tuple[FileDocument | None, tuple[str, int] | None]]:
    """Yield every row with its blob, if it has one, and every blob without a row."""
    blob, matched = next(blobs, None), False
    for row in rows:
        while blob is not None and (row.uuid is None or blob[0] < row.uuid):
            if not matched:
                yield None, blob
            blob, matched = next(blobs, None), False
        if blob is not None and blob[0] == row.uuid:
            matched = True  # stays: two rows may name one file
            yield row, blob
        else:
            yield row, None
    while blob is not None:
        if not matched:
            yield None, blob
        blob, matched = next(blobs, None), False


def _orphan(result: Reconciled, sink: Sink, name: str, size: int) -> None:
    result.orphan_blobs += 1
    _tell(result, sink, "orphan blob", f"Blob {shown(name)} ({size:,} bytes) has no row.", blob=name)


def _missing(result: Reconciled, sink: Sink, row: FileDocument) -> None:
    what = f"{row.entity or 'System.FileDocument'} {row.id}"
    if row.delete_after_download:
        result.expected_missing += 1
        sentence = f"{what}: DeleteAfterDownload is set; Mendix leaves such files out of backups."
        _tell(result, sink, "expected missing", sentence, id=row.id, uuid=row.uuid)
    elif row.size == 0:
        result.lost_before += 1
        sentence = f"{what}: size 0 says that the source app itself did not find the file."
        _tell(result, sink, "lost before", sentence, id=row.id, uuid=row.uuid)
    else:
        result.missing_blobs += 1
        key = f"no blob {row.uuid}" if row.uuid else "no file key in the row"
        _tell(result, sink, "missing blob", f"{what} has contents, but there is {key}.", id=row.id, uuid=row.uuid)


def _sizes(result: Reconciled, sink: Sink, row: FileDocument, size: int) -> None:
    if row.size == size:
        return
    if row.size is None or row.size < 0:
        result.size_unknown += 1
    elif row.size == 0:
        result.size_zero += 1
    else:
        result.size_differences += 1
        what = f"{row.entity or 'System.FileDocument'} {row.id}"
        sentence = f"{what} says {row.size:,} bytes, blob {row.uuid} has {size:,}."
        _tell(result, sink, "size difference", sentence, id=row.id, uuid=row.uuid)


def _tell(result: Reconciled, sink: Sink, kind: str, sentence: str, **names: object) -> None:
    sink.write(json.dumps({"kind": kind, "sentence": sentence, **names}).encode() + b"\n")
    first = result.first.setdefault(kind, [])
    if len(first) < SHOWN:
        first.append(sentence)


def _findings(result: Reconciled) -> list[Finding]:
    told = (
        (
            result.missing_blobs,
            "missing blob",
            "FILES_MISSING",
            "rows with contents that have no blob: the backup does not hold their files",
            "Take the backup while the app is stopped; look the documents up in the source app.",
        ),
        (
            result.lost_before,
            "lost before",
            "FILES_LOST_BEFORE",
            "rows of size 0 without a blob: the source app itself had not found their files any more",
            "Nothing was lost in the migration; look the documents up in the source app, or in an older backup.",
        ),
        (
            result.orphan_blobs,
            "orphan blob",
            "FILES_WITHOUT_ROW",
            "blobs without a row: files that no document refers to",
            "They do no harm; delete them from the container if they are not wanted.",
        ),
        (
            result.size_differences,
            "size difference",
            "FILE_SIZES_DIFFER",
            "rows whose size is not that of their blob",
            "The blob is what the backup held; open some of these documents in the app.",
        ),
    )
    return [
        Finding(
            code=code,
            severity="warning",
            object="System.FileDocument",
            message=f"expected one blob for each document with contents, found {count:,} {what}.",
            remedy=remedy,
            count=count,
            examples=result.first[kind][:10],
        )
        for count, kind, code, what, remedy in told
        if count
    ]
