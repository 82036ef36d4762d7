"""What the copy is made of: chunks, jobs of chunks, and what became of them."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Frozen(BaseModel):
    """Base: immutable, unknown fields refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Chunk(Frozen):
    """A part of a table that is loaded in one transaction.

    `first` (inclusive) and `last` (exclusive) are pages of the heap when `by` is `ctid`, values of `column` when it is
    `key`; None leaves that end open.
    """

    table: str = Field(description="Table on the target.")
    number: int = Field(ge=0)
    by: Literal["whole", "ctid", "key"] = "whole"
    column: str | None = Field(default=None, description="Source column of a `key` range.")
    first: int | None = None
    last: int | None = None
    rows: int = Field(default=0, description="Rows expected, for progress only.")
    bytes: int = Field(default=0, description="Bytes in PostgreSQL, TOAST included, for progress and sizing.")

    @property
    def about(self) -> str:
        """Name of the chunk in errors and logs."""
        return f"{self.table} chunk {self.number}"


class Job(Frozen):
    """The chunks that one activity loads, one after another."""

    number: int
    chunks: list[Chunk]


class Reject(Frozen):
    """A row that the driver or the server refused."""

    table: str
    chunk: int
    ctid: str
    key: dict[str, str] = Field(default_factory=dict, description="Primary key column → value.")
    error: str
    row: dict[str, str | None] = Field(
        default_factory=dict, description="The values as text, each cut at 1,000; of the first hundred rows of a chunk."
    )


class Loaded(Frozen):
    """What became of one chunk."""

    rows: int
    bytes: int = Field(description="Bytes of the rows in Arrow.")
    rejected: int = 0
    rounded: int = Field(default=0, description="Timestamps that lost microseconds.")
