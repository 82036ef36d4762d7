"""The copy's files in the staging container: plans, rejects, tables. One model a line (NDJSON), written whole."""

import hashlib
import itertools
import threading
from collections.abc import Container, Iterable, Iterator

from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import ContainerClient
from pydantic import BaseModel

from shared import runpaths
from shared.copying.model import Job, Reject
from shared.databaseplan import DatabasePlan
from shared.errors import Refusal
from shared.rowcontracts import JobGroup

JOBS_PER_GROUP = 150
PLANS_KEPT = 4

_plans: dict[str, DatabasePlan] = {}
_plans_change = threading.Lock()  # activities of one process read their plans at the same time


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
    name = runpaths.of_run(run, runpaths.PLAN)
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
        with _plans_change:
            while len(_plans) >= PLANS_KEPT:
                del _plans[next(iter(_plans))]
            _plans[key] = plan
    return plan


def write_groups(container: ContainerClient, run: str, stage: str, jobs: list[Job]) -> list[JobGroup]:
    """Write the jobs of a stage (`copy`, `verify`), cut into groups, each handed out by one orchestration.

    The names of the files hold a digest of all jobs. So a delivery that cuts differently, because settings have changed
    since, writes other files and does not alter the jobs of the plan that was kept.
    """
    mark = hashlib.sha256("".join(job.model_dump_json() for job in jobs).encode()).hexdigest()[:12]
    groups: list[JobGroup] = []
    for number, some in enumerate(itertools.batched(jobs, JOBS_PER_GROUP, strict=False)):
        name = runpaths.of_run(run, runpaths.jobs(stage, mark, number))
        write_lines(container, name, some)
        chunks = [chunk for job in some for chunk in job.chunks]
        rows, size = sum(chunk.rows for chunk in chunks), sum(chunk.bytes for chunk in chunks)
        groups.append(JobGroup(blob=name, jobs=len(some), rows=rows, bytes=size))
    return groups


def all_rejects(container: ContainerClient, run: str, table: str | None = None) -> Iterator[Reject]:
    """Yield every rejected row of a run, or of one table of it, file by file."""
    folder = runpaths.of_run(run, runpaths.rejects_of(table) if table else runpaths.ALL_REJECTS)
    for name in sorted(container.list_blob_names(name_starts_with=folder)):
        yield from read_lines(container, name, Reject)


def forget_rejects(container: ContainerClient, run: str, loaded_whole: Container[tuple[str, int]]) -> None:
    """Delete the reject files of chunks (table, number) that a later delivery has loaded whole.

    A row may be refused once and taken the next time; the ledger knows which load was committed, the files do not.
    """
    folder = runpaths.of_run(run, runpaths.ALL_REJECTS)
    for name in list(container.list_blob_names(name_starts_with=folder)):
        table, _, file = name.removeprefix(folder).rpartition("/")
        if (table, int(file.removesuffix(".ndjson"))) in loaded_whole:
            container.delete_blob(name)
