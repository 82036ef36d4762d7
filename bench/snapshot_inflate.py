"""Inflating, indexing and staging against uploading the same uncompressed bytes with the SDK alone.

Two uploads are compared with. The SDK's as it comes has no MD5, and on the emulator it waits for a checksum that the
emulator makes instead: ours is faster than that. With `validate_content`, as our blocks have it, it is like for like, and
there ours is slower: on two cores its MD5 of every file and the inflating take the processor time that the emulator
wants. Neither counts the archive's own way into staging; `detail` does. docs/sizing.md has the numbers.
"""

import functools
import time
from pathlib import Path
from typing import NamedTuple

from activities import snapshot
from bench import material
from bench.harness import Measured, bench, scaled
from bench.stand import Stand, done, stand

ROUNDS = 2
GOAL = 0.8


class Took(NamedTuple):
    """Seconds for the same bytes on the same Azurite, each way in turn, the better of the rounds."""

    size: int
    files: int
    bare: float
    checked: float
    ours: float
    staged: float


@bench("snapshot_inflate", unit="× of the SDK's upload", goal=f">= {GOAL}")
def inflate_against_upload() -> Measured:
    """Inflated, indexed and staged, every block and every file with an MD5, against the SDK's upload as it comes."""
    took = _took()
    return Measured(
        took.bare / took.ours, f"upload_blob(max_concurrency=4), better of {ROUNDS}", _told(took, took.bare)
    )


@bench("snapshot_inflate_checked", unit="× of the SDK's upload with MD5")
def inflate_against_checked_upload() -> Measured:
    """The same against an upload with `validate_content`, as our blocks have it: like for like, without a goal of its own.

    The goal of `snapshot_inflate` is not met here, and `detail` says so. Given an MD5 this emulator leaves out a slow
    checksum of its own, so that of the two the plain upload is the one that is slower here than in Azure.
    """
    took = _took()
    baseline = f"upload_blob(max_concurrency=4, validate_content=True), better of {ROUNDS}"
    ratio = took.checked / took.ours
    held = f"held to the goal of snapshot_inflate, {GOAL}: {'met' if ratio >= GOAL else 'MISSED'}"
    return Measured(ratio, baseline, f"{held}; {_told(took, took.checked)}")


def _told(took: Took, theirs: float) -> str:
    return (
        f"{took.size / 1e9:.2f} GB, {took.files:,} files: {took.size / took.ours / 1e6:.0f} MB/s against "
        f"{took.size / theirs / 1e6:.0f} MB/s; with the archive's way into staging before it {theirs / took.staged:.2f}"
    )


@functools.cache
def _took() -> Took:
    with stand() as one:
        path, plain = one.folder / "snapshot.tar.gz", one.folder / "snapshot.tar"
        size, files = scaled(3_000_000_000), scaled(100_000)
        material.archive(path, material.small_dump(one.postgres), size, files, plain)
        with path.open("rb") as file:
            one.service.get_blob_client("source", "snapshot").upload_blob(
                file, max_concurrency=4, validate_content=True
            )
        path.unlink()
        checked, bare, ours, staged = [], [], [], []
        for _ in range(ROUNDS):
            checked.append(_upload(one, plain, checked=True))
            staging, inflating = _ours(one)
            ours.append(inflating)
            staged.append(staging + inflating)
            bare.append(_upload(one, plain, checked=False))
        return Took(plain.stat().st_size, files, min(bare), min(checked), min(ours), min(staged))


def _upload(one: Stand, plain: Path, *, checked: bool) -> float:
    """Return the seconds of the SDK's own upload."""
    client = one.service.get_blob_client("source", "plain")
    started = time.monotonic()
    with plain.open("rb") as file:
        client.upload_blob(file, length=plain.stat().st_size, max_concurrency=4, validate_content=checked)
    seconds = time.monotonic() - started
    client.delete_blob()
    return seconds


def _ours(one: Stand) -> tuple[float, float]:
    """Return the seconds of the archive's way into staging, and of inflating, indexing and staging what is in it."""
    work = one.new_run()
    started = time.monotonic()
    described = done(snapshot.describe_source(None, work))
    facts = described["facts"]
    for first, stop in described["ranges"]:
        done(snapshot.stage_range(None, {**work, "facts": facts, "first": first, "stop": stop}))
    archive = {**work, "facts": facts, "size": facts["size"]}
    done(snapshot.commit_staged(None, archive))
    staged = time.monotonic()
    while not done(snapshot.inflate_archive(None, archive))["finished"]:
        pass
    done(snapshot.seal_snapshot(None, archive))
    ended = time.monotonic()
    one.service.get_container_client("mxferry-staging").delete_blobs(
        *one.service.get_container_client("mxferry-staging").list_blob_names()
    )
    return staged - started, ended - staged
