"""What the files stage says when the storage service refuses, is busy, or is not there."""

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.storage.blob import ContainerClient
from azure.storage.blob.aio import BlobClient

from activities import files
from shared.errors import TransientError
from tests.integration.snapshot.archives import backup, uuid_of
from tests.integration.snapshot.conftest import Stand
from tests.integration.snapshot.test_stages import taken

LARGE = 5_000_000
URL = "https://account.blob.core.windows.net/container/blob?sig=s3cr3t"


class Answer:
    """A double of the service's answer, as the SDK's errors read it."""

    def __init__(self, status: int) -> None:
        self.status_code, self.reason, self.headers = status, "the reason", {"x-ms-error-code": "TheCode"}
        self.content_type, self.request = "application/xml", SimpleNamespace(url=URL)

    def text(self, *_: Any) -> str:
        return URL


def failing(error: Exception) -> Callable[..., Any]:
    async def fail(*_: Any, **__: Any) -> None:
        raise error

    return fail


def status(code: int) -> HttpResponseError:
    found = HttpResponseError(URL, response=Answer(code))  # type: ignore[arg-type]
    found.error_code = "TheCode"  # type: ignore[attr-defined]
    return found


@pytest.fixture
def planned(stand: Stand, sample_dump: Any) -> dict[str, Any]:
    """A batch of two small files and a large one, planned."""
    contents = [(uuid_of(1), b"one"), (uuid_of(2), b"two"), (uuid_of(3), bytes(LARGE))]
    work = taken(stand, backup(sample_dump.read_bytes(), contents))
    files.plan_files(None, work)
    return {**work, "batch": 0}


@pytest.mark.parametrize("call", ["upload_blob", "download_blob", "stage_block_from_url", "commit_block_list"])
@pytest.mark.parametrize(
    ("error", "said"),
    [
        (
            status(503),
            "AZURE_BUSY.* from https://account.blob.core.windows.net/container/blob, found status 503 TheCode",
        ),
        (ServiceRequestError(URL), "AZURE_UNREACHABLE.* found ServiceRequestError"),
    ],
)
def test_what_may_pass_is_raised_with_address_and_status_so_that_it_is_tried_again(
    stand: Stand, planned: dict[str, Any], monkeypatch: pytest.MonkeyPatch, call: str, error: Exception, said: str
) -> None:
    monkeypatch.setattr(BlobClient, call, failing(error))
    with pytest.raises(TransientError, match=said) as caught:
        files.copy_batch(None, planned)
    assert "s3cr3t" not in str(caught.value)


@pytest.mark.parametrize("call", ["upload_blob", "download_blob", "commit_block_list"])
@pytest.mark.parametrize("code", [401, 403])
def test_a_missing_right_is_refused_at_once(
    stand: Stand, planned: dict[str, Any], monkeypatch: pytest.MonkeyPatch, call: str, code: int
) -> None:
    monkeypatch.setattr(BlobClient, call, failing(status(code)))
    found = files.copy_batch(None, planned)["refused"]
    assert found["code"] == "AZURE_DENIED"
    assert "Give the app's identity its roles" in found["remedy"]


def test_a_listing_that_is_refused_is_refused(
    stand: Stand, planned: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*_: Any, **__: Any) -> None:
        raise status(403)

    monkeypatch.setattr(ContainerClient, "list_blobs", denied)
    work = {name: planned[name] for name in ("run", "snapshot")}
    assert files.verify_listing(None, work)["refused"]["code"] == "AZURE_DENIED"


def test_a_refusal_among_errors_of_the_service_is_what_is_told(stand: Stand, planned: dict[str, Any]) -> None:
    for number in (1, 2, 3):
        stand.target.upload_blob(uuid_of(number), b"somebody else's")
    assert files.copy_batch(None, planned)["refused"]["code"] == "FILE_EXISTS"
