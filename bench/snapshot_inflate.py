"""Inflating, indexing and staging against uploading the same uncompressed bytes with the SDK alone."""

import gzip
import io
import time

from activities import snapshot
from bench import material
from bench.harness import Measured, bench, scaled
from bench.stand import done, stand


@bench("snapshot_inflate", unit="× of the SDK's upload", goal=">= 0.8")
def inflate_against_upload() -> Measured:
    """Both on the same Azurite, the upload first; the archive is in staging already."""
    with stand() as one:
        path = one.folder / "snapshot.tar.gz"
        material.archive(path, material.small_dump(one.postgres), scaled(3_000_000_000), scaled(100_000))
        raw = gzip.decompress(path.read_bytes())
        started = time.monotonic()
        client = one.service.get_blob_client("source", "plain")
        client.upload_blob(io.BytesIO(raw), length=len(raw), max_concurrency=4)
        upload = time.monotonic() - started
        client.delete_blob()
        size = len(raw)
        del raw
        with path.open("rb") as file:
            one.service.get_blob_client("source", "snapshot").upload_blob(file, max_concurrency=4)
        work = one.new_run()
        facts = done(snapshot.describe_source(None, work))["facts"]
        blocks = -(-facts["size"] // (16 << 20))
        done(snapshot.stage_range(None, {**work, "facts": facts, "first": 0, "stop": blocks}))
        archive = {**work, "facts": facts, "size": facts["size"]}
        done(snapshot.commit_staged(None, archive))
        started = time.monotonic()
        while not done(snapshot.inflate_archive(None, archive))["finished"]:
            pass
        done(snapshot.seal_snapshot(None, archive))
        ours = time.monotonic() - started
    rates = f"{size / ours / 1e6:.0f} MB/s against {size / upload / 1e6:.0f} MB/s, {size / 1e9:.2f} GB"
    return Measured(upload / ours, "upload_blob(max_concurrency=4) of the same bytes", rates)
