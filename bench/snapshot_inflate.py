"""Inflating, indexing and staging against uploading the same uncompressed bytes with the SDK alone."""

import time
from pathlib import Path

from activities import snapshot
from bench import material
from bench.harness import Measured, bench, scaled
from bench.stand import Stand, done, stand

ROUNDS = 2


@bench("snapshot_inflate", unit="× of the SDK's upload", goal=">= 0.8")
def inflate_against_upload() -> Measured:
    """All ways on the same Azurite in turn, the best of each counts.

    The baseline has the option that our blocks have (`validate_content`: an MD5 for each, with which this emulator leaves
    out a slow checksum of its own); what the SDK does without it is in the detail.
    """
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
        size = plain.stat().st_size
    fastest = min(ours)
    rates = (
        f"{size / 1e9:.2f} GB, {files:,} files: {size / fastest / 1e6:.0f} MB/s against {size / min(checked) / 1e6:.0f} "
        f"MB/s; with the archive's way into staging before it {min(checked) / min(staged):.2f}; "
        f"against an upload without MD5 ({size / min(bare) / 1e6:.0f} MB/s) {min(bare) / fastest:.2f}"
    )
    baseline = f"upload_blob(max_concurrency=4, validate_content=True) of the same bytes, better of {ROUNDS}"
    return Measured(min(checked) / fastest, baseline, rates)


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
