"""Clients of the storage accounts, made from settings: by identity in Azure, by connection string on one machine."""

import functools
from datetime import UTC, datetime, timedelta
from typing import Any

from azure.core.pipeline.transport import RequestsTransport
from azure.storage.blob import (
    BlobClient,
    BlobSasPermissions,
    BlobServiceClient,
    ContainerClient,
    ExponentialRetry,
    UserDelegationKey,
    generate_blob_sas,
)
from azure.storage.blob.aio import ContainerClient as AsyncContainerClient
from azure.storage.blob.aio import ExponentialRetry as AsyncExponentialRetry
from requests import Session
from requests.adapters import HTTPAdapter

from shared import runpaths
from shared.credentials import AsyncCredential, credential
from shared.settings import BlobAccount, TargetProfile, settings

# One GET serves a whole range: our readers choose their own range sizes, and a second request behind their back would
# double the round trips.
ONE_GET = 256 * 1024 * 1024
# Bytes of one read from a socket. The SDK's own transport reads as much; one that is handed in, as ours is, falls back to
# 4 KiB, which takes three to five times the CPU (measured).
SOCKET_READ = 256 * 1024
POOL = 64  # connections kept; urllib3's default of 10 discards and reopens sockets under our fan-out


def staging() -> ContainerClient:
    """Return the container of bytes on their way and of plans; `runs/<run>/` is deleted at clean-up."""
    return container_of(settings().staging, settings().staging.container)


def reports() -> ContainerClient:
    """Return the container of reports, scripts and lists that are kept."""
    return container_of(settings().staging, settings().staging.reports_container)


def staged(run: str, name: str) -> BlobClient:
    """Return a client of the run's blob of that name (`shared.runpaths`) in the staging container."""
    return staging().get_blob_client(runpaths.of_run(run, name))


def reported(run: str, name: str) -> BlobClient:
    """Return a client of the run's blob of that name in the container of the reports."""
    return reports().get_blob_client(runpaths.of_run(run, name))


def target(profile: TargetProfile) -> ContainerClient:
    """Return the container of the target app's files."""
    return container_of(profile.blob, profile.blob.container)


def container_of(account: BlobAccount, container: str) -> ContainerClient:
    """Return a client of a container in the account; clients of one account share their connections."""
    return service(account).get_container_client(container)


def service(account: BlobAccount) -> BlobServiceClient:
    """Return the account's client: one a process, shared by all threads."""
    secret = account.connection_string.get_secret_value() if account.connection_string else None
    return _service(account.account_url, secret, account.api_version)


@functools.cache
def _service(account_url: str | None, connection_string: str | None, api_version: str | None) -> BlobServiceClient:
    session = Session()
    for scheme in ("http://", "https://"):
        session.mount(scheme, HTTPAdapter(pool_connections=POOL, pool_maxsize=POOL))
    options: dict[str, Any] = {
        "retry_policy": ExponentialRetry(initial_backoff=1, increment_base=2, retry_total=5),
        "transport": RequestsTransport(session=session, session_owner=False, connection_data_block_size=SOCKET_READ),
        "max_single_get_size": ONE_GET,
    }
    if api_version:
        options["api_version"] = api_version
    if connection_string is not None:
        return BlobServiceClient.from_connection_string(connection_string, **options)
    return BlobServiceClient(str(account_url), credential=credential(), **options)


def async_container(account: BlobAccount, container: str) -> AsyncContainerClient:
    """Return an asyncio client of a container; the caller enters and leaves it (`async with`)."""
    options: dict[str, Any] = {
        "retry_policy": AsyncExponentialRetry(initial_backoff=1, increment_base=2, retry_total=5),
        "max_single_get_size": ONE_GET,
    }
    if account.api_version:
        options["api_version"] = account.api_version
    if account.connection_string is not None:
        secret = account.connection_string.get_secret_value()
        return AsyncContainerClient.from_connection_string(secret, container, **options)
    return AsyncContainerClient(str(account.account_url), container, credential=AsyncCredential(), **options)


def copy_source_url(account: BlobAccount, blob: BlobClient, valid: timedelta = timedelta(hours=2)) -> str:
    """Return a URL by which the storage service itself may read the blob: it carries a SAS, so it is never logged.

    Shared Key and Bearer do not carry over to the source of Put Block From URL in every case
    (https://github.com/Azure/azure-sdk-for-go/issues/18426), a SAS does: signed by the account key where there is one,
    by a user delegation key of the app's identity otherwise (which needs `Storage Blob Delegator`, part of
    `Storage Blob Data Contributor`).
    """
    now = datetime.now(UTC)
    key: dict[str, Any]
    if account.connection_string is not None:
        key = {"account_key": service(account).credential.account_key}
    else:
        key = {"user_delegation_key": _delegation_key(str(account.account_url), account.api_version, f"{now:%Y%m%d%H}")}
    sas = generate_blob_sas(
        # The service's: a blob's client takes the container for a part of it where the URL names the account in its path.
        account_name=str(service(account).account_name),
        container_name=blob.container_name,
        blob_name=blob.blob_name,
        permission=BlobSasPermissions(read=True),
        start=now - timedelta(minutes=15),  # clocks of client and service differ
        expiry=now + valid,
        **key,
    )
    return f"{blob.url}?{sas}"


@functools.lru_cache(maxsize=8)
def _delegation_key(account_url: str, api_version: str | None, hour: str) -> UserDelegationKey:
    """Return the account's user delegation key; `hour` renews it within the hour, long before its six hours end."""
    del hour
    now = datetime.now(UTC)
    return _service(account_url, None, api_version).get_user_delegation_key(
        key_start_time=now - timedelta(minutes=15), key_expiry_time=now + timedelta(hours=6)
    )
