"""The copy's files in the staging container: plans, rejects, tables. One model a line (NDJSON), written whole."""

from collections.abc import Container, Iterable, Iterator

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient
from pydantic import BaseModel

from shared.copying.model import Job, Reject
from shared.databaseplan import DatabasePlan, blob_name
from shared.errors import Refusal

JOBS_A_GROUP = 150
PLANS_KEPT = 4

_plans: dict[str, DatabasePlan] = {}


def write_lines(container: ContainerClient, name: str, models: Iterable[BaseModel]) -> None:
    """Write models as NDJSON; writing the same again changes nothing."""
    text = "".join(f"{model.model_dump_json()}\n" for model in models)
    container.upload_blob(name, text.encode(), overwrite=True)


def read_lines[M: BaseModel](container: ContainerClient, name: str, model: type[M]) -> list[M]:
    """Read models from NDJSON; Refusal STAGED_FILE_MISSING when the blob is not there."""
    try:
        text = container.download_blob(name).readall().decode()
    except ResourceNotFoundError:
        raise Refusal(
            "STAGED_FILE_MISSING",
            name,
            "expected the file that an earlier stage wrote to the staging container, found none.",
            "Start the migration again, and keep the staging container's runs/ folder while it runs.",
        ) from None
    return [model.model_validate_json(line) for line in text.splitlines()]


def database_plan(container: ContainerClient, run: str) -> DatabasePlan:
    """Return the run's database plan; kept in memory for the activities of one run."""
    name = blob_name(run)
    blob = container.get_blob_client(name)
    try:
        key = f"{blob.url.partition('?')[0]} {blob.get_blob_properties().etag}"
    except ResourceNotFoundError:
        raise Refusal(
            "PLAN_MISSING",
            name,
            "expected the database plan in the staging container, found none.",
            "Start the migration again, and keep the staging container's runs/ folder while it runs.",
        ) from None
    plan = _plans.get(key)
    if plan is None:
        plan = DatabasePlan.model_validate_json(blob.download_blob().readall())
        while len(_plans) >= PLANS_KEPT:
            _plans.pop(next(iter(_plans)), None)
        _plans[key] = plan
    return plan


def group_blob(run: str, stage: str, group: int) -> str:
    """Name of the blob that holds a group of jobs of a stage (`copy`, `verify`)."""
    return f"runs/{run}/{stage}/jobs-{group:05d}.ndjson"


def grouped(jobs: list[Job]) -> Iterator[list[Job]]:
    """Cut jobs into groups that one orchestration hands out."""
    for start in range(0, len(jobs), JOBS_A_GROUP):
        yield jobs[start : start + JOBS_A_GROUP]


def rejects_blob(run: str, table: str, chunk: int) -> str:
    """Name of the reject file of a chunk."""
    return f"{rejects_folder(run, table)}{chunk:06d}.ndjson"


def rejects_folder(run: str, table: str) -> str:
    """Prefix of the reject files of a table."""
    return f"runs/{run}/rejects/{table}/"


def all_rejects(container: ContainerClient, run: str, table: str | None = None) -> Iterator[Reject]:
    """Yield every rejected row of a run, or of one table of it, file by file."""
    folder = rejects_folder(run, table) if table else f"runs/{run}/rejects/"
    for name in sorted(container.list_blob_names(name_starts_with=folder)):
        yield from read_lines(container, name, Reject)


def forget_rejects(container: ContainerClient, run: str, loaded_whole: Container[tuple[str, int]]) -> None:
    """Delete the reject files of chunks (table, number) that a later delivery has loaded whole.

    A row may be refused once and taken the next time; the ledger knows which load was committed, the files do not.
    """
    folder = f"runs/{run}/rejects/"
    for name in list(container.list_blob_names(name_starts_with=folder)):
        table, _, file = name.removeprefix(folder).rpartition("/")
        if (table, int(file.removesuffix(".ndjson"))) in loaded_whole:
            container.delete_blob(name)
