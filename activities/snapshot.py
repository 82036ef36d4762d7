"""Stage snapshot: the archive into staging, inflated, indexed, and told what it is."""

import time
from collections.abc import Callable

from activities.boundary import activity
from shared import runpaths, runs
from shared.blobs import clients
from shared.contracts import RunWork, SnapshotRef
from shared.copying.memory import give_large_blocks_back
from shared.errors import Refusal
from shared.snapshot.inflating import InflatePass
from shared.snapshot.sealing import seal_snapshot as sealed
from shared.snapshot.staging import BLOCK, blocks_of, commit_archive, stage_blocks, stage_stream
from shared.snapshot.work import ArchiveWork, Described, Inflated, StagedRange, StageRange
from shared.sources.opening import open_origin
from shared.sources.url import forget_source_url

BUDGET_SECONDS = 180  # of new work in one `inflate_archive`; it ends at the next checkpoint
RANGE_BLOCKS = 64  # at least, in one `stage_range`: 1 GiB
MOST_RANGES = 150


@activity
def describe_source(work: RunWork) -> Described:
    """Look at the archive at its source: what it is, how large, which version, and how it can be copied."""
    origin = open_origin(work.run)
    facts = origin.facts()
    if not facts.ranges or facts.size is None:
        return Described(facts=facts, label=origin.label, ranges=[])
    blocks = blocks_of(facts.size)
    step = max(RANGE_BLOCKS, -(-blocks // MOST_RANGES))
    ranges = [(first, min(first + step, blocks)) for first in range(0, blocks, step)]
    return Described(facts=facts, label=origin.label, ranges=ranges)


@activity
def stage_range(work: StageRange) -> StagedRange:
    """Bring some blocks of the archive into staging, by the storage service where it can."""
    give_large_blocks_back()
    archive = clients.staged(work.run.id, runpaths.ARCHIVE)
    staged = stage_blocks(open_origin(work.run), work.facts, archive, work.first, work.stop, _look(work))
    size = min(work.stop * BLOCK, work.facts.size or 0) - work.first * BLOCK
    return StagedRange(bytes=size, server_side=staged.server_side, through_us=staged.through_us)


@activity
def stage_whole(work: StageRange) -> StagedRange:
    """Bring an archive into staging whose source serves no ranges."""
    archive = clients.staged(work.run.id, runpaths.ARCHIVE)
    size = stage_stream(open_origin(work.run), work.facts, archive, _look(work))
    return StagedRange(bytes=size, through_us=blocks_of(size))


def _look(work: StageRange) -> Callable[[], None]:
    return lambda: runs.stop_if_aborted(work.run.id)


@activity
def commit_staged(work: ArchiveWork) -> StagedRange:
    """Make the archive of its blocks, check its size, and forget the source URL."""
    commit_archive(work.facts, clients.staged(work.run.id, runpaths.ARCHIVE), work.size)
    forget_source_url(work.run.id)
    return StagedRange(bytes=work.size)


@activity
def inflate_archive(work: ArchiveWork) -> Inflated:
    """Inflate and index the archive for some minutes; call it again until it has finished."""
    give_large_blocks_back()
    started = time.monotonic()
    passing = InflatePass(work.run.id, work.facts.layout, work.size, work.facts.md5)
    state = passing.advance(lambda: time.monotonic() - started > BUDGET_SECONDS)
    return Inflated(bytes=state.bytes, files=state.files, finished=state.finished)


@activity
def seal_snapshot(work: ArchiveWork) -> SnapshotRef:
    """Say what the snapshot holds: one index, the metadata, the dump's place."""
    state = InflatePass(work.run.id, work.facts.layout, work.size).advance(lambda: True)
    if not state.finished:
        raise Refusal("SNAPSHOT_UNFINISHED", work.run.id, "expected an inflated archive, found an unfinished one.")
    return sealed(work.run.id, work.facts, work.size, state)
