"""What crosses the durable boundary inside the two files stages: copy and comparison."""

from pydantic import Field

from shared.contracts import SnapshotWork
from shared.strict import Strict

ARCHIVE, ONE_BLOB_EACH, CONTENTS = "snapshot archive: whole", "files: one blob of the right size each", "files: MD5"
HOW = {
    ONE_BLOB_EACH: "The target container's listing was compared with the snapshot's index, name by name.",
    CONTENTS: "The MD5 of every file was taken while the archive was inflated. The storage service compared it with the "
    "bytes it stored (files of more than 4 MiB in pieces of 64 MiB), and every blob's Content-MD5 was compared with it "
    "again in the listing.",
}
"""By name of a check of the files: how it is done; that of the archive says so itself."""


class FilesPlanned(Strict):
    """Output of `plan_files`."""

    batches: int
    files: int
    bytes: int
    window: int = Field(description="Batches that may run at once.")


class FileBatches(SnapshotWork):
    """Input of the sub-orchestration `copy_file_batches`: the batches [first, stop)."""

    first: int
    stop: int
    window: int


class FileBatch(SnapshotWork):
    """Input of `copy_batch`."""

    batch: int


class Listing(SnapshotWork):
    """Input of `verify_listing`: how far the comparison has come."""

    state: "ListingState | None" = None


class ListingState(Strict):
    """A comparison of index and container, both in the order of names, between two pages of the listing."""

    page: str | None = Field(default=None, description="Where the listing goes on.")
    position: int = Field(default=0, description="Files of the index that are compared.")
    finished: bool = False
    blobs: int = 0
    bytes: int = 0
    missing: int = 0
    unexpected: int = 0
    size_differences: int = 0
    md5_equal: int = 0
    md5_differences: int = 0
    md5_unknown: int = 0
    examples: list[str] = Field(default_factory=list, description="First hundred differences, one sentence each.")
