"""What crosses the durable boundary inside the two row stages: copy and verification.

Plans of jobs lie in staging; orchestrators hand out the name of a blob and a number in it.
"""

from typing import Literal

from pydantic import Field

from shared import runpaths
from shared.contracts import Check, RestoredWork
from shared.errors import Finding
from shared.strict import Strict

Stopped = Literal["throttled", "greedy", "busy", "searching"]
"""Why a job stopped early: the target was at its limit, a transaction held too much, the chunk is being loaded, or the search
for the refused rows of chunks before it has taken its time: those are loaded, and nothing is crowded."""


def kept_rejects(run: str) -> str:
    """Name of the blob in the reports container that lists the rows which the target refused, one JSON a line."""
    return runpaths.of_run(run, runpaths.REJECTS)


class JobGroup(Strict):
    """Jobs that one orchestration hands out: one a line in a staging blob."""

    blob: str
    jobs: int
    rows: int = 0
    bytes: int = 0


class CopyPlan(Strict):
    """Output of `plan_copy`."""

    groups: list[JobGroup]
    tables: int
    chunks: int
    rows: int
    bytes: int = Field(description="Bytes in PostgreSQL, TOAST included.")
    limit: int = Field(description="The profile's max_parallel_chunks.")
    table_lock: bool = Field(description="Heaps without keys are loaded under a bulk update lock.")
    log_stats: bool = Field(description="Whether the target tells its log write rate (Azure SQL Database does).")


class CopyGroup(RestoredWork):
    """Input of the sub-orchestration `copy_group`."""

    group: JobGroup
    limit: int
    window: int = Field(description="How many jobs to begin with at a time.")
    rejected: int = Field(default=0, description="Rows that were left out in the groups before.")
    table_lock: bool
    log_stats: bool


class CopyJob(RestoredWork):
    """Input of the activity `copy_chunks`."""

    blob: str
    job: int = Field(description="Line of the blob, from 0.")
    table_lock: bool
    log_stats: bool


class JobCopied(Strict):
    """Output of `copy_chunks`. With `stopped` the job must be called again: what it had loaded stays loaded."""

    chunks: int = 0
    rows: int = 0
    bytes: int = Field(default=0, description="Bytes in PostgreSQL, as planned, for progress.")
    rejected: int = 0
    stopped: Stopped | None = None
    log_write_percent: float | None = Field(default=None, description="0 to 100, of the last 15 seconds.")


class GroupCopied(Strict):
    """Output of `copy_group`."""

    rows: int = 0
    bytes: int = 0
    rejected: int = 0
    window: int = Field(description="How many jobs at a time did best; the next group begins with it.")


class FinishCopy(RestoredWork):
    """Input of the activity `finish_copy`."""

    chunks: int


class VerifyPlan(Strict):
    """Output of `plan_verification`."""

    groups: list[JobGroup]
    tables: int
    rows: int
    limit: int


class VerifyGroup(RestoredWork):
    """Input of the sub-orchestration `verify_group`."""

    group: JobGroup
    limit: int


class VerifyJob(RestoredWork):
    """Input of the activity `verify_slices`."""

    blob: str
    job: int


class JobVerified(Strict):
    """Output of `verify_slices`; the numbers of each slice are in staging."""

    rows: int = 0
    bytes: int = 0
    findings: list[Finding] = Field(default_factory=list)


class GroupVerified(Strict):
    """Output of `verify_group`."""

    rows: int = 0
    bytes: int = 0
    findings: list[Finding] = Field(default_factory=list)


class FinishVerification(RestoredWork):
    """Input of the activity `finish_verification`."""

    jobs: int
    findings: list[Finding]


class VerificationSummary(Strict):
    """Output of `finish_verification`."""

    checks: list[Check]
    findings: list[Finding]
    tables_blob: str
