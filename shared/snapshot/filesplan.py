"""Which files are copied by which activity: slices of the index, by count and by bytes."""

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pydantic import BaseModel, ConfigDict

FILES_OF_BATCH = 2_000
BYTES_OF_BATCH = 1 << 30


class Batch(BaseModel):
    """The index rows [start, stop), with the files and bytes among them."""

    model_config = ConfigDict(extra="forbid")

    start: int
    stop: int
    files: int
    bytes: int


class FilesPlan(BaseModel):
    """All batches, in the order of the tar."""

    model_config = ConfigDict(extra="forbid")

    batches: list[Batch]


def plan_of(index: pq.ParquetFile) -> FilesPlan:
    """Return the batches: at most 2,000 files and 1 GiB each, a larger file alone."""
    batches: list[Batch] = []
    at = 0
    for group in range(index.num_row_groups):
        table = index.read_row_group(group, columns=["kind", "size"])
        is_file = pc.equal(table["kind"].cast(pa.string()), "file").to_pylist()
        for size, file in zip(table["size"].to_pylist(), is_file, strict=True):
            last = batches[-1] if batches else None
            if last is None or last.files >= FILES_OF_BATCH or (last.bytes and last.bytes + size > BYTES_OF_BATCH):
                last = Batch(start=at, stop=at, files=0, bytes=0)
                batches.append(last)
            at += 1
            last.stop = at
            last.files += file
            last.bytes += size if file else 0
    return FilesPlan(batches=[batch for batch in batches if batch.files])
