"""Rows of System.FileDocument against blobs: every way in which they do or do not fit."""

import json

import pytest

from shared.contracts import Reconciled
from shared.snapshot.filedocuments import FileDocument
from shared.snapshot.reconciling import reconcile

A, B, C = "aaaa", "bbbb", "cccc"


class Lines:
    """Keeps what would go to the blob with the full list."""

    def __init__(self) -> None:
        self.written = b""

    def write(self, data: bytes) -> int:
        self.written += data
        return len(data)

    @property
    def kinds(self) -> list[str]:
        return [json.loads(line)["kind"] for line in self.written.splitlines()]


def row(
    uuid: str | None, size: int | None = 5, number: int = 1, contents: bool = True, delete: bool = False
) -> FileDocument:
    return FileDocument(number, uuid, contents, delete, size, "Shop.Invoice")


def reconciled(rows: list[FileDocument], blobs: list[tuple[str, int]]) -> tuple[Reconciled, list[str]]:
    lines = Lines()
    return reconcile(rows, blobs, lines), lines.kinds


ALL_WELL = {"missing_blobs": 0, "expected_missing": 0, "lost_before": 0, "orphan_blobs": 0, "size_differences": 0,
            "size_unknown": 0, "size_zero": 0}  # fmt: skip


@pytest.mark.parametrize(
    ("rows", "blobs", "counts", "codes"),
    [
        ([row(A), row(B)], [(A, 5), (B, 5)], {}, []),
        ([row(A), row(A, number=2)], [(A, 5)], {}, []),  # two rows of one file
        ([row(A), row(A, 6, number=2)], [(A, 5)], {"size_differences": 1}, ["FILE_SIZES_DIFFER"]),
        ([row(A, contents=False)], [], {}, []),
        ([row(A, contents=False)], [(A, 5)], {}, []),  # a row without contents keeps its blob
        ([row(A), row(B)], [(B, 5)], {"missing_blobs": 1}, ["FILES_MISSING"]),
        ([row(A)], [], {"missing_blobs": 1}, ["FILES_MISSING"]),
        ([row(A, -1)], [], {"missing_blobs": 1}, ["FILES_MISSING"]),
        ([row(A), row(None)], [(A, 5)], {"missing_blobs": 1}, ["FILES_MISSING"]),
        ([row(None, contents=False)], [], {}, []),
        ([row(A, delete=True)], [], {"expected_missing": 1}, []),
        ([row(A, 0, delete=True)], [], {"expected_missing": 1}, []),
        ([row(A, delete=True)], [(A, 5)], {}, []),
        ([row(A, 0)], [], {"lost_before": 1}, ["FILES_LOST_BEFORE"]),
        ([row(A, 0)], [(A, 0)], {}, []),
        ([row(A, 0)], [(A, 5)], {"size_zero": 1}, []),
        ([row(A, -1)], [(A, 5)], {"size_unknown": 1}, []),
        ([row(A, None)], [(A, 5)], {"size_unknown": 1}, []),
        ([row(A, 4)], [(A, 5)], {"size_differences": 1}, ["FILE_SIZES_DIFFER"]),
        ([row(B)], [(A, 5), (B, 5), (C, 5)], {"orphan_blobs": 2}, ["FILES_WITHOUT_ROW"]),
        ([], [(A, 5)], {"orphan_blobs": 1}, ["FILES_WITHOUT_ROW"]),
        ([row(None)], [(A, 5)], {"orphan_blobs": 1, "missing_blobs": 1}, ["FILES_MISSING", "FILES_WITHOUT_ROW"]),
        ([row(C)], [(A, 5), (B, 5)], {"orphan_blobs": 2, "missing_blobs": 1}, ["FILES_MISSING", "FILES_WITHOUT_ROW"]),
    ],
)  # fmt: skip
def test_every_row_and_every_blob_is_counted_as_what_it_is(
    rows: list[FileDocument], blobs: list[tuple[str, int]], counts: dict[str, int], codes: list[str]
) -> None:
    result, listed = reconciled(rows, blobs)
    assert {name: getattr(result, name) for name in ALL_WELL} == {**ALL_WELL, **counts}
    assert (result.rows, result.blobs) == (len(rows), len(blobs))
    assert result.rows_with_contents == sum(one.has_contents for one in rows)
    assert [one.code for one in result.findings] == codes
    assert len(listed) == sum(counts.values()) - result.size_unknown - result.size_zero


def test_many_of_one_kind_hide_no_other_and_the_full_list_has_all() -> None:
    blobs = [(f"a{number:04d}", 1) for number in range(150)]
    rows = [row("b", number=number) for number in range(120)]
    result, listed = reconciled(rows, blobs)
    assert {kind: len(lines) for kind, lines in result.first.items()} == {"orphan blob": 100, "missing blob": 100}
    assert (listed.count("orphan blob"), listed.count("missing blob")) == (150, 120)
    missing, orphans = result.findings
    assert missing.examples[0] == "Shop.Invoice 0 has contents, but there is no blob b."
    assert orphans.examples[0] == "Blob a0000 (1 bytes) has no row."
    assert (missing.count, orphans.count, len(orphans.examples)) == (120, 150, 10)
