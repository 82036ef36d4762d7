"""Copying small files out of the staged tar against a plain download-then-upload with threads."""

import time
from concurrent.futures import ThreadPoolExecutor

from bench import material
from bench.harness import Measured, bench, scaled
from bench.stand import Stand, copy_files, stand, take_snapshot

THREADS = 8
BYTES = 10_000


@bench("snapshot_files", unit="× the files/s of download-then-upload", goal=">= 1.5")
def files_against_download_and_upload() -> Measured:
    """The baseline copies blob to blob, one blob a file, as a script with the SDK would."""
    files = scaled(50_000)
    with stand() as one:
        material.give(one, files * BYTES, files)
        work = take_snapshot(one.new_run())
        started = time.monotonic()
        copied = copy_files(work)
        ours = copied / (time.monotonic() - started)
        theirs = _plain(one, min(files, 5_000))
    detail = f"{ours:.0f}/s against {theirs:.0f}/s, {copied:,} files of {BYTES:,} bytes"
    return Measured(ours / theirs, f"{THREADS} threads, download_blob then upload_blob", detail)


def _plain(one: Stand, files: int) -> float:
    """Return the files a second of the plain way, over the first `files` files."""
    service = one.service
    service.create_container("plain")
    names = [
        blob.name for blob, _ in zip(service.get_container_client("target").list_blobs(), range(files), strict=False)
    ]

    def copy(name: str) -> None:
        data = service.get_blob_client("target", name).download_blob().readall()
        service.get_blob_client("plain", name).upload_blob(data)

    started = time.monotonic()
    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(copy, names))
    return len(names) / (time.monotonic() - started)
