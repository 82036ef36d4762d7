"""Copying small files out of the staged tar against a plain download-then-upload with threads."""

import os
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

from bench import material
from bench.harness import Measured, bench, scaled
from bench.stand import Stand, copy_files, stand, take_snapshot

THREADS = 8
BYTES = 10_000


@bench("snapshot_files", unit="× the files/s of download-then-upload", goal=">= 1.5")
def files_against_download_and_upload() -> Measured:
    """The baseline copies blob to blob, one blob a file, as a script with the SDK would: before ours and after it.

    Once with the MD5 that ours has of every file, once without; the faster of the two is the baseline.
    """
    files = scaled(50_000)
    with stand() as one:
        material.give(one, files * BYTES, files, material.small_dump(one.postgres))
        plain = _Plain(one, min(files, 5_000))
        work = take_snapshot(one.new_run())
        before = plain.rates()
        started = time.monotonic()
        copied = copy_files(work)
        ours = copied / (time.monotonic() - started)
        after = plain.rates()
    means = [(one + other) / 2 for one, other in zip(before, after, strict=True)]
    detail = (
        f"{ours:.0f}/s against {means[0]:.0f}/s with MD5 (before {before[0]:.0f}, after {after[0]:.0f}) and "
        f"{means[1]:.0f}/s without ({before[1]:.0f}, {after[1]:.0f}); {copied:,} files of {BYTES:,} bytes, "
        f"baseline {plain.files:,} four times"
    )
    return Measured(ours / max(means), f"{THREADS} threads, download_blob then upload_blob", detail)


class _Plain:
    """The plain way, over some files in a container of their own."""

    def __init__(self, one: Stand, files: int) -> None:
        self._service = one.service
        self.files = files
        self._names = [str(uuid.uuid4()) for _ in range(files)]
        self._targets = self._containers()
        client = self._service.create_container("plain")
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(lambda name: client.upload_blob(name, os.urandom(BYTES)), self._names))

    def rates(self) -> tuple[float, float]:
        """Return the files a second, with an MD5 of each and without."""
        return self._rate(checked=True), self._rate(checked=False)

    def _rate(self, *, checked: bool) -> float:
        target = next(self._targets)
        self._service.create_container(target)

        def copy(name: str) -> None:
            data = self._service.get_blob_client("plain", name).download_blob().readall()
            self._service.get_blob_client(target, name).upload_blob(data, validate_content=checked)

        started = time.monotonic()
        with ThreadPoolExecutor(THREADS) as pool:
            list(pool.map(copy, self._names))
        return self.files / (time.monotonic() - started)

    @staticmethod
    def _containers() -> Iterator[str]:
        yield from (f"plain-{number}" for number in range(4))
