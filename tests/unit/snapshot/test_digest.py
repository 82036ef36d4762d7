"""MD5 over many processes: the same as over one."""

import hashlib
import json
import random

import pytest

from shared.snapshot import digest
from shared.snapshot.digest import Md5, MemberDigest

DATA = random.Random(1).randbytes(10_000)


@pytest.mark.parametrize("cut", [0, 1, 63, 64, 65, 5000, 10_000])
def test_a_sum_that_goes_on_from_its_state_is_that_of_all_bytes(cut: int) -> None:
    first = Md5()
    first.update(DATA[:cut])
    second = Md5.resume(json.loads(json.dumps(first.state)))
    assert second is not None
    second.update(memoryview(DATA)[cut:])
    assert second.digest() == hashlib.md5(DATA).digest()


def test_telling_the_sum_so_far_does_not_end_it() -> None:
    md5 = Md5()
    md5.update(DATA[:100])
    assert md5.digest() == md5.digest() == hashlib.md5(DATA[:100]).digest()
    md5.update(DATA[100:])
    assert md5.digest() == hashlib.md5(DATA).digest()


@pytest.mark.parametrize("size", [0, 1, 999, 1000, 1001, 3000, 3001])
@pytest.mark.parametrize("step", [1, 999, 1000, 2500])
def test_a_member_larger_than_a_piece_has_an_md5_a_piece(monkeypatch: pytest.MonkeyPatch, size: int, step: int) -> None:
    monkeypatch.setattr(digest, "PIECE", 1000)
    data = DATA[:size]
    member = MemberDigest(size)
    for start in range(0, size, step):
        member.update(memoryview(data)[start : start + step])
        member = MemberDigest.resume(size, json.loads(json.dumps(member.state())))
    pieces = b"".join(hashlib.md5(data[start : start + 1000]).digest() for start in range(0, size, 1000))
    assert member.end() == (hashlib.md5(data).digest(), pieces if size > 1000 else None)


def test_without_a_libcrypto_the_sum_is_the_same_and_cannot_be_carried_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digest, "library", lambda: None)
    md5 = Md5()
    md5.update(DATA)
    assert md5.digest() == hashlib.md5(DATA).digest()
    assert Md5.resume(md5.state) is None
