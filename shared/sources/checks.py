"""Preflight of the source: is there a snapshot, may we read it, is it what was asked for."""

from shared.errors import Finding, Refusal
from shared.request import BlobSource, MendixCloudSource, Source
from shared.snapshot.origin import Origin
from shared.sources.blob import BlobOrigin
from shared.sources.environment import check_environment
from shared.sources.opening import account_of
from shared.sources.url import UrlOrigin, source_url


def check_source(
    source: Source, expected_model_version: str | None, run_id: str | None = None, *, rehearsal: bool = False
) -> list[Finding]:
    """Return what keeps us from reading the snapshot. A `url` source can be looked at only with the run's id.

    In a rehearsal users go on working at the source, and nothing is said of it.

    Raises `TransientError` where it may answer soon.
    """
    try:
        if isinstance(source, MendixCloudSource):
            return check_environment(source, expected_model_version, rehearsal=rehearsal)
        origin: Origin | None = None
        if isinstance(source, BlobSource):
            origin = BlobOrigin(account_of(source), source.container, source.blob)
        elif run_id is not None:
            origin = UrlOrigin(source_url(run_id))
        if origin is not None:
            origin.facts()
    except Refusal as error:
        return [error.finding()]
    return []
