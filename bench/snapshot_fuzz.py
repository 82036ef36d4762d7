"""Mutated archives and dumps: no hang, bounded memory, no error but our own, no archive read short."""

import faulthandler
import gzip
import io
import random
import signal
import tarfile
from collections.abc import Callable
from types import FrameType

from bench import material
from bench.harness import Measured, bench, scaled
from bench.memory import peak_mib, reset_peak
from bench.stand import stand
from shared.errors import MxferryError
from shared.snapshot.dump import read_dump
from shared.snapshot.dumpdata import BlockScanner, copy_text
from shared.snapshot.gz import Inflation
from shared.snapshot.layout import SNIFF, sniff
from shared.snapshot.members import role
from shared.snapshot.tar import Member, TarIndexer

SLOWEST = 5.0  # seconds for one input of some kilobytes: more is a hang
HANGING = 60.0  # seconds without an input ended, in a library that heeds no signal: the process is ended with a trace
MOST_MIB = 200
PIECE = 4096
BLOCK = 512  # of a tar
COMPRESSIONS = ("gzip", "lz4", "zstd", "none")

type Form = tuple[bytes, Callable[[bytes], bytes], Callable[[bytes], None]]  # raw, what is made of a mutation, reader


@bench("snapshot_fuzz", unit="MiB peak RSS", goal=f"<= {MOST_MIB}")
def mutated_inputs() -> Measured:
    """Tar, gzip and dump readers over random mutations; any other error, or a slow input, ends the bench."""
    inputs = scaled(200_000, 10_000)
    seed = random.SystemRandom().randrange(1 << 32)
    rng = random.Random(seed)
    forms = _forms()
    refused = 0
    signal.signal(signal.SIGALRM, _hung)
    reset_peak()
    for number in range(inputs):
        raw, make, reader = forms[number % len(forms)]
        mutated = make(_mutate(raw, rng))
        faulthandler.dump_traceback_later(HANGING, exit=True)
        signal.setitimer(signal.ITIMER_REAL, SLOWEST)
        try:
            reader(mutated)
        except MxferryError:
            refused += 1
        except Exception as error:
            raise RuntimeError(f"seed {seed}, input {number}: {type(error).__name__}: {error}") from error
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
            faulthandler.cancel_dump_traceback_later()
    return Measured(
        peak_mib(),
        "",
        f"{inputs:,} inputs in {len(forms)} forms: {refused:,} refused, {inputs - refused:,} read; seed {seed}",
    )


def _hung(number: int, frame: FrameType | None) -> None:
    raise TimeoutError(f"longer than {SLOWEST} s")


def _forms() -> list[Form]:
    with stand() as one:
        dump = material.small_dump(one.postgres)
        dumps = [material.dump(one.postgres, "small", f"--compress={how}") for how in COMPRESSIONS]
    forms: list[Form] = []
    for tar in (_tar(dump, tarfile.PAX_FORMAT), _tar(dump, tarfile.GNU_FORMAT), _with_global_headers(dump)):
        forms += [(tar, bytes, _read_tar), (tar, _summed, _read_tar)]
        forms += [(gzip.compress(tar), bytes, _read_gzip), (tar, gzip.compress, _read_gzip)]
    for one_dump in dumps:
        forms += [(one_dump, bytes, _read_dump), (one_dump, bytes, _scan_dump)]
    return forms


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


def _tar(dump: bytes, form: int) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=form) as tar:
        for name, data in (("db/db.backup", dump), ("é" * 120, b"x" * 700), (".metadata", b"{}")):
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return target.getvalue()


def _with_global_headers(dump: bytes) -> bytes:
    """A tar whose PAX headers, many of them, hold for all members that follow: each has keys of its own."""
    headers = b"".join(
        tarfile.TarInfo.create_pax_global_header({f"comment.{number}.{part}": "x" * 200 for part in range(10)})
        for number in range(30)
    )
    return headers + _tar(dump, tarfile.PAX_FORMAT)


def _summed(tar: bytes) -> bytes:
    """Return a mutated tar whose headers have the right checksums again, so that what they say is read."""
    data = bytearray(tar)
    for at in range(0, len(data) - BLOCK + 1, BLOCK):
        header = data[at : at + BLOCK]
        if header[257:262] == b"ustar":
            header[148:156] = b" " * 8
            data[at + 148 : at + 156] = b"%06o\0 " % sum(header)
    return bytes(data)


def _read_tar(data: bytes) -> None:
    """In pieces, by a successor each; an archive that is not refused has no member that only `tarfile` finds."""
    sniff(data[:SNIFF])
    members = 0

    def count(_: Member) -> None:
        nonlocal members
        members += 1

    indexer = TarIndexer(count)
    for start in range(0, len(data), PIECE):
        indexer.feed(data[start : start + PIECE])
        indexer = TarIndexer.resume(indexer.state(), count)
    indexer.close()
    if (others := _members_of(data)) > members:
        raise AssertionError(f"read short: {members} members, and tarfile finds {others}")


def _members_of(tar: bytes) -> int:
    """Return how many members `tarfile` reads before it stops."""
    found = 0
    try:
        with tarfile.open(fileobj=io.BytesIO(tar), mode="r|") as members:
            for _ in members:
                found += 1
    except (tarfile.TarError, ValueError, EOFError, OverflowError, UnicodeError):
        pass
    return found


def _classify(member: Member) -> None:
    role(member)


def _read_gzip(data: bytes) -> None:
    """From its start, and taken up at the last border of two deflate blocks; both must give the same."""
    sniff(data[:SNIFF])
    inflation = Inflation(PIECE)
    inflation.marking = True
    indexer = TarIndexer(_classify)
    whole = b""
    for block in inflation.blocks(iter([data])):
        indexer.feed(block)
        whole += block
    if (place := inflation.place) is not None:
        again = b"".join(Inflation(PIECE, place).blocks(iter([data[place.read_from :]])))
        if again != whole[place.produced :]:
            raise AssertionError("a successor inflates something else")
    indexer.close()


def _read_dump(data: bytes) -> None:
    dump = read_dump(io.BytesIO(data))
    for entry in dump.entries:
        if entry.desc == "TABLE DATA" and entry.offset is not None:
            for _ in copy_text([data[entry.offset :]], dump.compression, entry.id):
                pass


def _scan_dump(data: bytes) -> None:
    """As for a dump without offsets."""
    file = io.BytesIO(data)
    read_dump(file)
    scanner = BlockScanner(at=file.tell())
    while piece := file.read(PIECE // 8):
        scanner.scan(piece)
