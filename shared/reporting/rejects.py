"""Rows that the target refused, kept beside the report: staging, where the loads write them down, is deleted at the end."""

from collections.abc import Iterator

from azure.storage.blob import ContainerClient

from shared import runs
from shared.blobs import clients
from shared.contracts import Run
from shared.copying.stage import all_rejects
from shared.reporting.model import RejectedRow, RejectsReport
from shared.rowcontracts import kept_rejects

LISTED = 100
"""Rows that the report itself lists; the blob has them all."""


def load(run: Run) -> RejectsReport | None:
    """Keep the refused rows that staging knows, or find those that were kept before it was deleted; None if none are."""
    name = kept_rejects(run.id)
    rows = list(_rows(clients.staging(), run))
    if rows:
        runs.write(name, "".join(f"{row.model_dump_json()}\n" for row in rows).encode(), "application/x-ndjson")
    elif earlier := runs.read(name):
        rows = [RejectedRow.model_validate_json(line) for line in earlier.splitlines()]
    return RejectsReport(rows=len(rows), blob=name, first=rows[:LISTED]) if rows else None


def _rows(staging: ContainerClient, run: Run) -> Iterator[RejectedRow]:
    """Yield the rows as the report may tell them: their values only where the request asks for values."""
    for one in all_rejects(staging, run.id):
        row = one.row if run.request.options.show_values else {}
        yield RejectedRow(table=one.table, key=one.key or {"ctid": one.ctid}, error=one.error, row=row)
