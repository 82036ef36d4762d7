"""What verification found out about one slice of one table."""

from typing import Literal

from pydantic import Field

from shared.copying.model import Frozen

Level = Literal["counts", "aggregates", "hash", "sample"]


class SliceVerified(Frozen):
    """One line of a results blob. Counts are rows; the number of a level that was not done is None."""

    table: str
    slice: int
    content: Literal["copy", "empty"] = "copy"
    rows_source: int
    rows_target: int
    rounded: int = Field(default=0, description="Timestamps of the source that lost digits.")
    aggregates: int | None = Field(default=None, description="Aggregates compared.")
    aggregates_differ: int = 0
    buckets: int | None = Field(default=None, description="Buckets of row hashes compared.")
    buckets_differ: int = 0
    sampled: int | None = Field(default=None, description="Rows compared cell by cell.")
    sampled_differ: int = 0
    why_not: dict[str, str] = Field(default_factory=dict, description="Level that was asked for but not done → why.")
