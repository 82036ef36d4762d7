"""The app's identity: one azure-identity credential a process, used for storage, PostgreSQL and Azure SQL alike.

The credential caches and renews its own tokens, so everything asks this one object and nothing else keeps a token.
"""

import asyncio
import functools
from typing import Any, Protocol

from azure.core.credentials import AccessToken, TokenCredential
from azure.core.exceptions import AzureError
from azure.identity import DefaultAzureCredential, ManagedIdentityCredential

from shared.errors import TransientError
from shared.settings import settings


class Identity(Protocol):
    """The part of a credential that is used here."""

    def get_token(self, *scopes: str, **kwargs: Any) -> Any:
        """Return an access token."""


class _Chosen:
    """The credential that `use_credential` put in the place of the app's own, if any."""

    credential: TokenCredential | None = None


def credential() -> TokenCredential:
    """Return the process's credential: the managed identity named by `AZURE_CLIENT_ID`, else the default chain."""
    return _Chosen.credential or _own_credential()


def token(scope: str, identity: Identity | None = None) -> str:
    """Return a token for a scope, of the app's identity unless another is given.

    Raises `TransientError` NO_TOKEN when the identity gives none: its service may be away, or the identity not there.
    """
    try:
        return str((identity or credential()).get_token(scope).token)
    except AzureError as error:
        # The error's own text is a page about every way to sign in that was tried.
        raise TransientError(
            "NO_TOKEN", scope, f"expected a token of the app's identity, found {type(error).__name__}.",
            "Check that the app has its managed identity, and that AZURE_CLIENT_ID names it.",
        ) from None  # fmt: skip


def use_credential(other: TokenCredential | None) -> None:
    """Use another credential in this process (a test's own, a signed-in person's); None goes back to the app's."""
    _Chosen.credential = other


@functools.cache
def _own_credential() -> TokenCredential:
    client_id = settings().azure_client_id
    return ManagedIdentityCredential(client_id=client_id) if client_id else DefaultAzureCredential()


class AsyncCredential:
    """The same credential for asyncio clients: its blocking calls run on a thread."""

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """Return a token for the scopes, as `azure.core.credentials_async.AsyncTokenCredential` asks."""
        return await asyncio.to_thread(credential().get_token, *scopes, **options)

    async def close(self) -> None:
        """Close nothing: the credential belongs to the process."""

    async def __aenter__(self) -> "AsyncCredential":
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self.close()
