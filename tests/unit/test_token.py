"""A token that the identity does not give is a trouble that may pass, said in a sentence; never an error of ours."""

from typing import Any

import pytest
from azure.core.exceptions import ClientAuthenticationError

from shared import credentials
from shared.errors import TransientError


class NoIdentity:
    """A double of an identity that is not there."""

    def get_token(self, *_scopes: str, **_options: Any) -> Any:
        raise ClientAuthenticationError("Attempted credentials: EnvironmentCredential, ManagedIdentityCredential, …")


def test_an_identity_that_gives_no_token_is_told_in_a_sentence() -> None:
    with pytest.raises(TransientError) as raised:
        credentials.token("https://database.windows.net/.default", NoIdentity())
    assert raised.value.code == "NO_TOKEN"
    assert raised.value.message == "expected a token of the app's identity, found ClientAuthenticationError."
    assert "AZURE_CLIENT_ID" in raised.value.remedy
