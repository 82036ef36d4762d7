"""The end of the snapshot stage: one index, the archive's metadata, and where the dump lies."""

import json

from azure.storage.blob import BlobClient

from shared import runpaths
from shared.blobs import clients
from shared.blobs.blocks import BlockSink, BlockWriter, commit
from shared.blobs.ranges import BlobFile, read_range
from shared.contracts import DumpRef, SnapshotRef
from shared.errors import Refusal
from shared.snapshot.dump import read_dump
from shared.snapshot.index import seal
from shared.snapshot.inflating import Checkpoint, tar_place
from shared.snapshot.layout import Layout
from shared.snapshot.names import shown
from shared.snapshot.origin import OriginFacts, is_strong

MAX_METADATA = 1 << 20
METADATA_KEYS = ("duration", "dumpSize", "modelVersion", "databaseSize", "filesSize")
CHECKS: dict[Layout, str] = {
    "tar.gz": "gzip's CRC-32 and length were compared with every inflated byte, and every tar header with its checksum.",
    "dump.gz": "gzip's CRC-32 and length were compared with every inflated byte.",
    "tar": "Every tar header was compared with its checksum; nothing tells whether the bytes between them are the source's.",
    "dump": "Nothing tells whether its bytes are the source's until PostgreSQL reads them.",
}


def seal_snapshot(run: str, facts: OriginFacts, archive_bytes: int, end: Checkpoint) -> SnapshotRef:
    """Return what the run's archive holds. Raises `Refusal` ARCHIVE_NO_DATABASE, DUMP_UNREADABLE, ARCHIVE_DUPLICATE."""
    layout = facts.layout
    members = tar_place(run, layout)
    if end.dump is None:
        raise Refusal(
            "ARCHIVE_NO_DATABASE",
            "snapshot archive",
            f"expected db/db.backup in the archive, found {end.files:,} files and no database.",
            "Take a full backup (`files_and_database`); a files-only archive cannot be migrated.",
        )
    full = layout in ("tar", "tar.gz")
    index = clients.staged(run, runpaths.INDEX)
    if full:
        seal((clients.staged(run, runpaths.index_part(number)) for number in range(end.parts)), index)
    return SnapshotRef(
        kind="full" if full else "database",
        archive_blob=clients.staged(run, runpaths.ARCHIVE).blob_name,
        archive_bytes=archive_bytes,
        archive_md5=end.md5,
        archive_check=_check(facts, end),
        tar_blob=members.blob_name if full else None,
        tar_bytes=end.bytes if full else 0,
        index_blob=index.blob_name if full else None,
        dump=dump_ref(members, *end.dump),
        metadata=_metadata(members, *end.metadata) if end.metadata else {},
        files=end.files,
        file_bytes=end.file_bytes,
        ignored=end.ignored,
        ignored_count=end.ignored_count,
        ignored_blob=_ignored(run, end.ignored_parts),
    )


def _ignored(run: str, parts: int) -> str | None:
    """Keep the list of the names left aside beside the report; return where it is, None when there are none."""
    if not parts:
        return None
    whole = clients.reported(run, runpaths.IGNORED)
    with BlockWriter(whole) as writer:
        sink = BlockSink(writer)
        for number in range(parts):
            sink.write(clients.staged(run, runpaths.ignored_part(number)).download_blob().readall())
        sink.finish()
    commit(whole, sink.blocks)
    return whole.blob_name


def _check(facts: OriginFacts, end: Checkpoint) -> str:
    """Return in words how the archive was checked to be whole; its size is compared in any case."""
    md5 = "The MD5 of its bytes in staging is the one that the source tells. " if end.md5 else ""
    if md5 and facts.layout in ("tar", "dump"):
        return md5.strip()
    return f"Its size is the source's. {md5}{CHECKS[facts.layout]}{'' if end.md5 else _pin(facts)}"


def _pin(facts: OriginFacts) -> str:
    """Return in words how weakly the copy was pinned to one version of the source; nothing for a strong ETag."""
    if is_strong(facts.etag):
        return ""
    if facts.etag or facts.modified:
        return " While it was copied, the source told one weak ETag or one time of its last change throughout."
    return " The copy was not pinned to a version: the source tells neither ETag nor time of its last change."


def dump_ref(blob: BlobClient, offset: int, size: int) -> DumpRef:
    """Return where the dump lies and how it was written. Raises `Refusal` DUMP_UNREADABLE or DUMP_VERSION."""
    head = read_dump(BlobFile(blob, size, offset), with_entries=False)
    return DumpRef(
        blob=blob.blob_name,
        offset=offset,
        size=size,
        format=f"{head.version[0]}.{head.version[1]}",
        compression=head.compression,
        server_version=head.server_version,
        dump_version=head.dump_version,
    )


def _metadata(blob: BlobClient, offset: int, size: int) -> dict[str, str]:
    return metadata_of(read_range(blob, offset, size)) if size <= MAX_METADATA else {}


def metadata_of(raw: bytes) -> dict[str, str]:
    """Return what an archive's .metadata says under the keys that Mendix writes; what cannot be read says nothing."""
    try:
        found = json.loads(raw)
    except (ValueError, RecursionError):  # some thousands of nested brackets
        return {}
    if not isinstance(found, dict):
        return {}
    return {key: shown(str(found[key])) for key in METADATA_KEYS if isinstance(found.get(key), str | int)}
