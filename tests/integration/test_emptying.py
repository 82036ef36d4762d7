"""Emptying the target container: what lay there goes, what the run brought stays, whatever is delivered twice."""

import time
import uuid

import pytest
from azure.storage.blob import BlobServiceClient

from shared.blobs import emptying
from shared.blobs.emptying import cut_off, empty
from shared.errors import TransientError

RUN = "20261128t200000-abc123"


@pytest.fixture
def reports(azurite):
    service = BlobServiceClient.from_connection_string(azurite, api_version="2026-06-06")
    return service.create_container(f"reports-{uuid.uuid4().hex[:8]}")


def names(container):
    return sorted(blob.name for blob in container.list_blobs())


def test_what_lay_there_goes_and_what_the_run_brought_stays(container, reports):
    for name in ("old-1", "old-2"):
        container.upload_blob(name, b"x")
    time.sleep(1.1)  # Last-Modified is in whole seconds
    before = cut_off(reports, RUN)
    assert empty(container, "", before) == (2, False)
    container.upload_blob("new", b"y")
    assert empty(container, "", cut_off(reports, RUN)) == (0, False), "a late delivery must not delete what came since"
    assert names(container) == ["new"]


def test_a_blob_written_again_while_an_old_delivery_deletes_survives(container, reports):
    container.upload_blob("same-name", b"old")
    time.sleep(1.1)
    before = cut_off(reports, RUN)
    [stale] = list(container.list_blobs())
    container.upload_blob("same-name", b"new", overwrite=True)

    class Listing:
        """Lists what a slow delivery saw before; deletes for real."""

        def list_blobs(self, **_):
            return [stale]

        def __getattr__(self, name):
            return getattr(container, name)

    assert empty(Listing(), "", before) == (0, False)
    assert container.download_blob("same-name").readall() == b"new"


def test_it_works_in_batches_and_keeps_to_the_prefix(container, reports):
    for name in ("a/1", "a/2", "a/3", "b/1"):
        container.upload_blob(name, b"x")
    time.sleep(1.1)
    before = cut_off(reports, RUN)
    assert empty(container, "a/", before, limit=2) == (2, True)
    assert empty(container, "a/", before, limit=2) == (1, False)
    assert names(container) == ["b/1"]


def test_many_blobs_go_by_one_request(container, reports, monkeypatch):
    for number in range(10):
        container.upload_blob(f"blob {number}, ü%", b"x")
    time.sleep(1.1)
    before = cut_off(reports, RUN)
    requests = []

    class Counting:
        """Counts the requests; deletes for real."""

        def delete_blobs(self, *parts, **options):
            requests.append(len(parts))
            return container.delete_blobs(*parts, **options)

        def __getattr__(self, name):
            return getattr(container, name)

    monkeypatch.setattr(emptying, "BLOBS_PER_REQUEST", 4)
    assert empty(Counting(), "", before) == (10, False)
    assert (requests, names(container)) == ([4, 4, 2], [])


def test_a_blob_that_cannot_be_deleted_is_named_and_the_others_of_its_request_go(container, reports):
    for name in ("a", "b", "c"):
        container.upload_blob(name, b"x")
    container.get_blob_client("b").acquire_lease()
    time.sleep(1.1)
    before = cut_off(reports, RUN)
    with pytest.raises(TransientError, match="CONTAINER_NOT_EMPTIED") as caught:
        empty(container, "", before)
    assert caught.value.about == f"{container.container_name}/b"
    assert names(container) == ["b"]
