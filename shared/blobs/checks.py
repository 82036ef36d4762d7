"""Preflight of the storage accounts: everything that can be known before a byte is copied."""

import secrets

from azure.core.exceptions import (
    ClientAuthenticationError,
    HttpResponseError,
    ResourceNotFoundError,
    ServiceRequestError,
    ServiceResponseError,
)
from azure.storage.blob import ContainerClient

from shared.blobs.clients import reports, staging, target
from shared.errors import Finding, TransientError
from shared.settings import TargetProfile

EXAMPLES = 10
UNREACHABLE = "CONTAINER_UNREACHABLE"


def check_staging() -> list[Finding]:
    """Return what keeps us from writing to, reading and deleting in the staging and the reports container.

    Raises `TransientError` CONTAINER_UNREACHABLE while storage does not answer, as `check_target` does.
    """
    return [*_writable(staging(), "staging container"), *_writable(reports(), "reports container")]


def check_target(profile: TargetProfile, prefix: str = "") -> list[Finding]:
    """Return what keeps us from writing to the target container, and CONTAINER_NOT_EMPTY if blobs are in the way."""
    container = target(profile)
    return _writable(container, "target container", prefix) or _empty(container, prefix)


def _writable(container: ContainerClient, what: str, prefix: str = "") -> list[Finding]:
    """Write, read and delete a probe blob; nothing else says for certain that the rights are there."""
    name = container.container_name
    probe = container.get_blob_client(f"{prefix}mxferry-preflight-{secrets.token_hex(8)}")
    try:
        probe.upload_blob(b"probe")
        probe.download_blob().readall()
        probe.delete_blob()
    except ResourceNotFoundError:
        return [
            Finding.error(
                "CONTAINER_MISSING", name, f"expected the {what}, found none.", f"Create the container {name}."
            )
        ]
    except (ClientAuthenticationError, HttpResponseError) as error:
        if error.status_code in (401, 403):
            message = f"expected the right to read, write and delete in the {what}, found status {error.status_code}."
            remedy = (
                "Give the app's identity the role Storage Blob Data Contributor, and look at the account's firewall."
            )
            return [Finding.error("CONTAINER_DENIED", name, message, remedy)]
        raise _unreachable(name, what, error.reason or type(error).__name__) from None
    except (ServiceRequestError, ServiceResponseError) as error:
        raise _unreachable(name, what, type(error).__name__) from None
    return []


def _empty(container: ContainerClient, prefix: str) -> list[Finding]:
    found = container.list_blobs(name_starts_with=prefix or None, results_per_page=EXAMPLES + 1)
    names = [blob.name for blob, _ in zip(found, range(EXAMPLES + 1), strict=False)]
    if not names:
        return []
    many = f"more than {EXAMPLES}" if len(names) > EXAMPLES else str(len(names))
    return [
        Finding(
            code="CONTAINER_NOT_EMPTY",
            severity="error",
            object=container.container_name + (f"/{prefix}" if prefix else ""),
            message=f"expected an empty target container, found {many} blobs.",
            remedy='Empty it, choose another container or prefix, or ask for "target_not_empty": "drop".',
            examples=names[:EXAMPLES],
            choices=["drop"],
        )
    ]


def _unreachable(name: str, what: str, found: str) -> TransientError:
    remedy = "Check the account's name, its firewall and private endpoints."
    return TransientError(UNREACHABLE, name, f"expected an answer from the {what}, found {found}.", remedy)
