"""Before the snapshot stage: from a Mendix Cloud environment to a download URL in staging."""

from pydantic import AwareDatetime, Field

from activities.boundary import activity, closing_activity
from shared.contracts import Run, RunWork
from shared.errors import Refusal
from shared.request import MendixCloudSource
from shared.sources import cloudsteps
from shared.sources.cloudsteps import Step, too_early


class CloudWork(RunWork):
    """Input of the polling activities: what is waited for."""

    snapshot: str = ""
    archive: str = ""
    renewal: int = 0
    not_before: AwareDatetime | None = Field(default=None, description="Of the step before: Mendix Cloud is not asked.")


@activity
def stop_source_app(work: CloudWork) -> Step:
    """Stop the source app where the request says so."""
    return too_early(work.not_before) or cloudsteps.stop_app(work.run, _source(work.run))


@closing_activity
def start_source_app(work: CloudWork) -> Step:
    """Start the source app again if this run has stopped it; works after an abort too."""
    return too_early(work.not_before) or cloudsteps.start_app(work.run, _source(work.run))


@activity
def choose_snapshot(work: CloudWork) -> Step:
    """Find or create the snapshot."""
    return too_early(work.not_before) or cloudsteps.choose_snapshot(work.run, _source(work.run))


@activity
def poll_snapshot(work: CloudWork) -> Step:
    """Ask whether the snapshot is complete."""
    return too_early(work.not_before) or cloudsteps.poll_snapshot(_source(work.run), work.snapshot)


@activity
def request_archive(work: CloudWork) -> Step:
    """Ask for a download archive of the snapshot."""
    return too_early(work.not_before) or cloudsteps.request_archive(
        work.run, _source(work.run), work.snapshot, work.renewal
    )


@activity
def poll_archive(work: CloudWork) -> Step:
    """Ask whether the archive is complete, and keep its URL in staging."""
    return too_early(work.not_before) or cloudsteps.poll_archive(
        work.run, _source(work.run), work.snapshot, work.archive
    )


def _source(run: Run) -> MendixCloudSource:
    if not isinstance(run.request.source, MendixCloudSource):
        raise Refusal("SOURCE_KIND", run.id, f"expected a mendix-cloud source, found {run.request.source.kind}.")
    return run.request.source
