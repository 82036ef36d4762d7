"""What a Mendix backup holds, and what is refused or left aside.

A full backup is one tar with `.metadata`, `db/db.backup` and `tree/<ab>/<cd>/<uuid>`
(https://docs.mendix.com/developerportal/deploy/restore-backup/, "Format of a Backup File").
"""

import re
from typing import Literal

from shared.errors import Refusal
from shared.snapshot.names import shown
from shared.snapshot.tar import Member

METADATA = ".metadata"
DUMP = "db/db.backup"
FILE = re.compile(r"tree/(?:[^/]++/)*+([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\Z")

STRANGE = {"sparse": "a sparse file", "unknown": "a member of unknown type"}

Role = Literal["metadata", "dump", "file", "directory", "ignored"]


def role(member: Member) -> tuple[Role, bytes | None]:
    """Return what the member is in a Mendix backup, and the UUID (16 bytes) when it is one of the app's files.

    Raises `Refusal` ARCHIVE_HOSTILE for names that leave the archive and for anything but files and directories.
    """
    _refuse_hostile(member)
    name = _plain(member.name)
    if member.kind == "directory":
        return "directory", None
    if name == METADATA:
        return "metadata", None
    if name == DUMP:
        return "dump", None
    if found := FILE.match(name):
        return "file", bytes.fromhex(found[1].replace("-", ""))
    return "ignored", None


def is_file(member: Member) -> bool:
    """Return whether the member is one of the app's files: those have an MD5 in the index."""
    return FILE.match(_plain(member.name)) is not None


def uuid_text(uuid: bytes) -> str:
    """Return the 36 characters of a UUID, which is the blob's name."""
    digits = uuid.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def _plain(name: str) -> str:
    while name.startswith("./"):
        name = name[2:]
    return name


def _refuse_hostile(member: Member) -> None:
    found = None
    if member.kind not in ("file", "directory"):
        found = STRANGE.get(member.kind, f"a {member.kind}")
    elif member.name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", member.name):
        found = "an absolute path"
    elif ".." in re.split(r"[/\\]", member.name):
        found = "a path that climbs out of the archive"
    elif not member.name or "\0" in member.name:
        found = "an empty name"
    if found:
        raise Refusal(
            "ARCHIVE_HOSTILE",
            shown(member.name),
            f"expected the files of a Mendix backup, found {found}.",
            "Use the archive as Mendix Cloud made it; do not unpack and pack it again.",
        )
