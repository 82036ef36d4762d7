"""The .metadata of an archive that nobody's Mendix has written."""

import json

import pytest

from shared.snapshot.sealing import MAX_METADATA, metadata_of


def test_the_keys_that_mendix_writes_are_kept_and_no_others() -> None:
    told = {"modelVersion": "1.0.0.40", "databaseSize": "9730584", "dumpSize": 94769, "surprise": "x", "password": "y"}
    assert metadata_of(json.dumps(told).encode()) == {
        "modelVersion": "1.0.0.40",
        "databaseSize": "9730584",
        "dumpSize": "94769",
    }


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[1]",
        b"not json",
        b"\xff\xfe{}",
        b"[" * MAX_METADATA,
        b'{"modelVersion":' * (MAX_METADATA // 20),
        b'{"databaseSize": ' + b"9" * 5000 + b"}",
        b'{"modelVersion": [[[[1]]]], "databaseSize": null, "filesSize": {"a": 1}, "dumpSize": 1.5}',
    ],
)
def test_what_cannot_be_read_says_nothing(raw: bytes) -> None:
    assert metadata_of(raw) == {}


def test_a_value_is_cut_and_fit_for_every_encoder() -> None:
    found = metadata_of(json.dumps({"modelVersion": "\udcff\n" + "x" * 100_000}).encode())
    assert found["modelVersion"].startswith("\\udcff\\x0axxx")
    assert len(found["modelVersion"]) == 200
