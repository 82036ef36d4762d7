"""Finding the tables' data in a dump that pg_dump wrote to a pipe: nothing of it is trusted."""

import io

import pytest

from orchestrators.restore import restore_database
from orchestrators.snapshot import take_snapshot
from shared.snapshot import locating
from shared.snapshot.dump import read_dump
from tests.fixtures.dumps.reading import FOLDER
from tests.integration.snapshot.conftest import Stand


def test_a_dump_of_endless_blocks_is_refused(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(locating, "MAX_ENTRIES", 3)
    stand.give((FOLDER / "15-none-piped.dump").read_bytes())
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    code, _, message = stand.refusal(restore_database, work)
    assert code == "DUMP_UNREADABLE"
    assert "more blocks of data" in message


def test_a_dump_that_has_the_data_of_a_table_twice_is_refused(stand: Stand) -> None:
    raw = (FOLDER / "15-none-piped.dump").read_bytes()
    stand.give(raw + raw[read_dump(io.BytesIO(raw)).data_offset :])
    work = {**stand.work, "snapshot": stand.drive(take_snapshot, stand.work)}
    code, _, message = stand.refusal(restore_database, work)
    assert code == "DUMP_UNREADABLE"
    assert "the data of an entry twice" in message
