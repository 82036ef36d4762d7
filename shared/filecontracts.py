"""What crosses the durable boundary inside the two files stages: copy and comparison."""

from pydantic import Field

from shared.contracts import SnapshotWork
from shared.strict import Strict


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
