"""From a run's request to the `Origin` its archive is read from."""

from shared.contracts import Run
from shared.errors import Refusal
from shared.request import BlobSource
from shared.settings import BlobAccount, settings
from shared.snapshot.origin import Origin
from shared.sources.blob import BlobOrigin
from shared.sources.url import UrlOrigin, source_url


def open_origin(run: Run) -> Origin:
    """Return the origin of the run's archive; the URL of a Mendix Cloud archive must have been stowed before."""
    source = run.request.source
    if isinstance(source, BlobSource):
        return BlobOrigin(account_of(source), source.container, source.blob)
    return UrlOrigin(source_url(run.id))


def account_of(source: BlobSource) -> BlobAccount:
    """Return the account of a blob source: its profile's, else the staging account."""
    if source.profile is None:
        return settings().staging
    account = settings().source_profile(source.profile).blob
    if account is None:
        raise Refusal(
            "SOURCE_PROFILE_INCOMPLETE",
            source.profile,
            "expected a source profile with a storage account, found none in it.",
            f"Add the app setting SOURCE__{source.profile.upper().replace('-', '_')}__BLOB__ACCOUNT_URL.",
        )
    return account
