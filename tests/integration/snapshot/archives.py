"""Makes archives as Mendix Cloud makes them, and as it never should."""

import gzip
import io
import tarfile
import uuid
from collections.abc import Iterable


def uuid_of(number: int) -> str:
    return str(uuid.UUID(int=number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128)))


def file_name(name: str) -> str:
    return f"tree/{name[:2]}/{name[2:4]}/{name}"


def tar_of(members: Iterable[tuple[str, bytes]], layout: int = tarfile.GNU_FORMAT) -> bytes:
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=layout) as tar:
        for name, data in members:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return target.getvalue()


def backup(dump: bytes, files: Iterable[tuple[str, bytes]] = (), *extra: tuple[str, bytes]) -> bytes:
    """A full backup as a tar.gz: metadata, dump, files, and whatever else is asked for."""
    named = ((file_name(name), data) for name, data in files)
    members = [(".metadata", b'{"modelVersion": "1.0.0.40", "dumpSize": "1"}'), ("db/db.backup", dump), *named, *extra]
    return gzip.compress(tar_of(members), 1)
