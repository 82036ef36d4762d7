"""Target mode `postgres`, before the target is written: what will be made there, from the dump alone."""

from pydantic import Field

from activities.boundary import activity
from shared import runpaths
from shared.blobs import clients, documents
from shared.contracts import Planned, Run, SnapshotWork
from shared.errors import Finding, Refusal
from shared.mendix import dumped
from shared.mendix.metadata import Metadata
from shared.postgres import storage, targetcatalogue, targetplan
from shared.postgres.connection import connect
from shared.postgres.targetfindings import fit
from shared.postgres.targetplan import TargetPlan
from shared.settings import TargetPostgres, settings
from shared.snapshot.dump import Dump
from shared.snapshot.dumpsource import open_dump, table_text
from shared.snapshot.restoring import POST_DATA, Contents, RestorePlan, plan_of, skipped_of


class TargetPlanned(Planned):
    """Output of `plan_postgres_target`. The number of rows is known only after the load."""

    model_version: str | None = None
    runtime_version: str | None = None
    target_version: int = Field(description="server_version_num of the target, such as 170010.")
    sequences: int = 0
    keys: int = Field(default=0, description="Keys, indexes, foreign keys and checks.")


@activity
def plan_postgres_target(work: SnapshotWork) -> TargetPlanned:
    """Plan the target from the dump and what the target says; writes the plan to staging, its SQL to the reports."""
    run, ref = work.run, work.snapshot.dump
    dump, server = open_dump(ref), target_server(run)
    restore = _restore_plan(run, ref.size, dump)
    tables = [table for batch in restore.batches for table in batch]
    metadata = dumped.read_dumped_metadata(tables, lambda table: table_text(ref, table))
    with connect(server, autocommit=True, application_name="mxferry plan") as connection:
        target_version = connection.info.server_version
        found = fit(connection, f"{server.host}/{server.database}", dump, run.request.options)
        given_back = targetcatalogue.state(connection).bytes if run.request.target_not_empty == "drop" else 0
        need = storage.need_of(work.snapshot.metadata, ref)
        free = storage.check_room(connection, server, "TARGET_ROOM", need, database="", given_back=given_back)
    changes, impossible = _changes(run, dump, restore, metadata)
    plan = targetplan.plan_target(run.id, dump, restore, changes, found.wanted)
    documents.write(clients.staged(run.id, runpaths.TARGET_PLAN), plan)
    drops = found.in_the_way if run.request.target_not_empty == "drop" else []
    text = "".join(targetplan.script(plan, dump, drops=drops))
    clients.reported(run.id, runpaths.SCHEMA).upload_blob(text.encode(), overwrite=True)
    version = metadata.version
    return TargetPlanned(
        findings=[*found.findings, *free, *impossible, *targetplan.not_carried(dump, found.offered)],
        tables=len(tables),
        rows=0,
        bytes=plan.bytes,
        ddl_blob=runpaths.of_run(run.id, runpaths.SCHEMA),
        model_version=version.model if version else None,
        runtime_version=version.runtime if version else None,
        target_version=target_version,
        sequences=len(targetplan.sequences_of(dump)),
        keys=sum(entry.desc in POST_DATA for entry in dump.entries),
    )


def target_server(run: Run) -> TargetPostgres:
    """Return the target's PostgreSQL; `Refusal` TARGET_KIND when its profile has none."""
    name = run.request.target
    server = settings().target_profile(name).postgres
    if server is None:
        raise Refusal(
            "TARGET_KIND", name, "expected a PostgreSQL target, found a profile without one.",
            "Add TARGET__<NAME>__POSTGRES__HOST, ...__USER and ...__DATABASE to the settings.",
        )  # fmt: skip
    return server


def target_plan(run: Run) -> TargetPlan:
    """Return the run's plan; `Refusal` PLAN_MISSING when staging has none."""
    plan = documents.read(clients.staged(run.id, runpaths.TARGET_PLAN), TargetPlan)
    if plan is None:
        raise Refusal(
            "PLAN_MISSING", runpaths.TARGET_PLAN, "expected the plan of the target in the staging container, found none.",
            "Start the migration again, and keep the staging container's runs/ folder while it runs.",
        )  # fmt: skip
    return plan


def _restore_plan(run: Run, dump_size: int, dump: Dump) -> RestorePlan:
    contents = documents.read(clients.staged(run.id, runpaths.LOCATED), Contents)
    if contents is None or not contents.located:
        raise Refusal("RESTORE_UNPREPARED", run.id, "expected the places of all tables, found some unknown.")
    return plan_of(contents, dump_size, skipped_of(dump))


def _changes(
    run: Run, dump: Dump, restore: RestorePlan, metadata: Metadata
) -> tuple[dict[str, dumped.Change], list[Finding]]:
    """Return what the run changes in tables of schema public, by table, with the findings about it."""
    columns = {
        table.table: table.columns for batch in restore.batches for table in batch if table.schema_name == "public"
    }
    fixed = {
        entry.tag: dumped.declared_not_null(entry.definition)
        for entry in dump.entries
        if entry.desc == "TABLE" and entry.namespace == "public"
    }
    return dumped.changes(
        metadata, run.request.options, columns, lambda table, column: column not in fixed.get(table, set())
    )
