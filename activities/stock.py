"""What the target holds when a run did not end verified: counted on the target, so that the report states facts."""

from pydantic import Field

from activities.boundary import closing_activity
from shared.blobs import clients
from shared.contracts import RunWork
from shared.postgres import targetcatalogue
from shared.postgres.connection import connect
from shared.settings import TargetProfile, settings
from shared.sqlserver import catalogue, connection
from shared.strict import Strict

FIRST_TABLES = 200
"""Tables that the answer lists, those with rows first; more would be too much for the durable boundary."""


class TargetInventory(Strict):
    """Output of `take_stock`."""

    tables: int = Field(description="Tables on the target, ours left out.")
    rows: int
    holding: dict[str, int] = Field(description="Rows by table, at most 200 tables, the largest first.")
    files: int = Field(description="Blobs in the target container, under the request's prefix.")
    bytes: int = Field(description="Bytes of those blobs.")


@closing_activity
def take_stock(work: RunWork) -> TargetInventory:
    """Count tables, rows, blobs and bytes on the target. Reads only."""
    profile = settings().target_profile(work.run.request.target)
    rows = _rows(profile)
    files = size = 0
    for blob in clients.target(profile).list_blobs(name_starts_with=work.run.request.options.blob_prefix or None):
        files += 1
        size += blob.size or 0
    largest = sorted(rows.items(), key=lambda item: (-item[1], item[0]))[:FIRST_TABLES]
    return TargetInventory(tables=len(rows), rows=sum(rows.values()), holding=dict(largest), files=files, bytes=size)


def _rows(profile: TargetProfile) -> dict[str, int]:
    if profile.kind == "postgres" and profile.postgres is not None:
        with connect(profile.postgres, autocommit=True, application_name="mxferry stock") as target:
            return targetcatalogue.table_rows(target)
    if profile.sql is None:
        return {}
    with connection.session(profile.sql) as server:
        return catalogue.table_rows(server)
