"""What crosses the durable boundary between the activities of snapshot, restore and reconcile."""

from pydantic import Field

from shared.contracts import Counts, RestoreRef, RunWork, SnapshotWork
from shared.errors import Finding
from shared.snapshot.origin import OriginFacts
from shared.strict import Strict


class Described(Strict):
    """Output of `describe_source`."""

    facts: OriginFacts
    label: str
    ranges: list[tuple[int, int]] = Field(description="Block numbers [first, stop) of each `stage_range`; empty: none.")


class StageRange(RunWork):
    """Input of `stage_range`: bring some blocks of the archive."""

    facts: OriginFacts
    first: int
    stop: int


class StagedRange(Strict):
    """Output of `stage_range` and `stage_whole`."""

    bytes: int
    server_side: int = Field(default=0, description="Blocks the storage service copied itself.")
    through_us: int = 0


class ArchiveWork(RunWork):
    """Input of the activities that read the staged archive."""

    facts: OriginFacts
    size: int = Field(description="Bytes of the staged archive.")


class Inflated(Strict):
    """Output of `inflate_archive`: how far the pass has come."""

    bytes: int
    files: int
    finished: bool


class Done(Strict):
    """Output of an activity that has nothing to tell but that it is done."""

    done: bool = True


class ReconcileWork(SnapshotWork):
    """Input of `reconcile_files`."""

    restore: RestoreRef | None = Field(default=None, description="Absent: the documents are read on the target.")


class Located(Strict):
    """Output of `read_contents` and `locate_tables`: whether the place of every table's data is known."""

    finished: bool
    bytes: int = Field(default=0, description="Bytes of the dump looked through so far.")


class Prepared(Strict):
    """Output of `prepare_database`: an empty database, how its tables are to be loaded, and what there is room for."""

    batches: int
    tables: int
    bytes: int = Field(description="Bytes of the tables' data in the dump, compressed as they are.")
    findings: list[Finding] = Field(default_factory=list)


class LoadBatch(SnapshotWork):
    """Input of an activity that works on a batch of tables, in one call or several."""

    batch: int
    step: int = Field(default=0, description="Calls before this one, each of which left some of the batch to do.")


class BatchDone(Strict):
    """Output of an activity that works on a batch of tables: rows and bytes of this call, and of all calls together.

    Bytes are those of the tables' data in the dump, compressed as they are.
    """

    batch: int
    finished: bool = True
    rows: int = 0
    bytes: int = 0
    done: Counts = Field(
        default_factory=Counts, description="What is done of the batch, by this call and those before."
    )
