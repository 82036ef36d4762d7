"""Mutated archives and dumps: no hang, bounded memory, no error but our own."""

import gzip
import io
import random
import resource
import tarfile
import time
from collections.abc import Callable

from bench import material
from bench.harness import Measured, bench, scaled
from bench.stand import stand
from shared.errors import Refusal
from shared.snapshot.dump import read_dump
from shared.snapshot.dumpdata import copy_text
from shared.snapshot.gz import inflate
from shared.snapshot.members import role
from shared.snapshot.tar import TarIndexer

SLOWEST = 5.0  # seconds for one input of some kilobytes: more is a hang


@bench("snapshot_fuzz", unit="inputs read or refused", goal="")
def mutated_inputs() -> Measured:
    """Tar, gzip and dump readers over random mutations; any other error, or a slow input, ends the bench."""
    inputs = scaled(200_000, 10_000)
    rng = random.Random(4)
    with stand() as one:
        dump = material.small_dump(one.postgres)
    tar = _tar(dump)
    readers: list[tuple[bytes, Callable[[bytes], None]]] = [
        (tar, _read_tar),
        (gzip.compress(tar), _read_gzip),
        (dump, _read_dump),
    ]
    refused = 0
    for number in range(inputs):
        raw, reader = readers[number % len(readers)]
        mutated = _mutate(raw, rng)
        started = time.monotonic()
        try:
            reader(mutated)
        except Refusal:
            refused += 1
        if time.monotonic() - started > SLOWEST:
            raise RuntimeError(f"input {number} took longer than {SLOWEST} s")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return Measured(
        inputs, "", f"{refused:,} refused, {inputs - refused:,} read, {peak:.0f} MiB peak of the whole process"
    )


def _mutate(raw: bytes, rng: random.Random) -> bytes:
    data = bytearray(raw)
    for _ in range(rng.choice((1, 1, 2, 4))):
        at = rng.randrange(len(data))
        kind = rng.randrange(5)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at : at + 4] = rng.choice((b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x80\0\0\0", rng.randbytes(4)))
        elif kind == 2:
            del data[at : at + rng.randrange(1, 600)]
        elif kind == 3:
            data[at:at] = rng.randbytes(rng.randrange(1, 600))
        else:
            del data[at:]
        if not data:
            break
    return bytes(data)


def _tar(dump: bytes) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in (("db/db.backup", dump), ("é" * 120, b"x" * 700), (".metadata", b"{}")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return target.getvalue()


def _read_tar(data: bytes) -> None:
    indexer = TarIndexer(role)
    indexer.feed(data)
    indexer.close()


def _read_gzip(data: bytes) -> None:
    indexer = TarIndexer(role)
    for block in inflate([data], 1 << 16):
        indexer.feed(block)
    indexer.close()


def _read_dump(data: bytes) -> None:
    dump = read_dump(io.BytesIO(data))
    for entry in dump.entries:
        if entry.desc == "TABLE DATA" and entry.offset is not None:
            for _ in copy_text([data[entry.offset :]], dump.compression, entry.id):
                pass
