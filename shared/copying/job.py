"""A job: the chunks that one activity loads over one session on each side, under the watchdog."""

from collections.abc import Callable
from dataclasses import dataclass, field

from azure.storage.blob import ContainerClient

from shared import runpaths
from shared.copying.arrow import Conversion
from shared.copying.load import ChunkWork, RowRefused, duplicate_row, explained, load_chunk
from shared.copying.model import Chunk, Job, Loaded, Reject
from shared.copying.rejects import find_rejects
from shared.copying.source import SOURCE_ERRORS, Source, source_error
from shared.copying.stage import write_lines
from shared.copying.watchdog import Heartbeat, Sockets, run_watched
from shared.databaseplan import DatabasePlan
from shared.errors import Refusal, TransientError
from shared.rowcontracts import kept_rejects
from shared.settings import SqlServer
from shared.sqlserver.bulk import CORE_ERRORS, BulkSession, is_sql_port
from shared.sqlserver.errors import DUPLICATE_KEY

STALL_SECONDS = 180.0
SLOW_DOWN = {"SQL_THROTTLED": "throttled", "CHUNK_BUSY": "busy", "MEMORY_BUSY": "busy"}


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of the copy. `uri` is the temporary database for ADBC and holds a secret."""

    uri: str
    postgres_port: int
    target: SqlServer
    staging: ContainerClient


@dataclass(frozen=True, slots=True)
class Policy:
    """How the rows are loaded, and how many may be refused in the whole run."""

    table_lock: bool
    max_rejects: int
    stall_seconds: float = STALL_SECONDS


@dataclass(slots=True)
class JobDone:
    """What a job brought; `stopped` says why it did not reach its end, if it did not."""

    loaded: list[Loaded] = field(default_factory=list)
    stopped: str | None = None


def run_job(job: Job, plan: DatabasePlan, ends: Ends, policy: Policy) -> JobDone:
    """Load the job's chunks in order. Throttling ends it early with `stopped`; so does a chunk that is being loaded.

    Raises TransientError or Refusal about the table and chunk; chunks loaded before stay loaded, and the ledger knows.
    """
    heartbeat = Heartbeat()
    about = f"job {job.number} ({job.chunks[0].about})"
    connections = _Connections(ends)
    done = JobDone()

    def work() -> None:
        heartbeat.beat("connecting")
        with connections:
            for chunk in job.chunks:
                done.loaded.append(_load(connections, plan, chunk, ends, policy, heartbeat))

    try:
        run_watched(work, heartbeat, policy.stall_seconds, connections.cut, about)
    except TransientError as error:
        if error.code not in SLOW_DOWN:
            raise
        done.stopped = SLOW_DOWN[error.code]
    return done


class _Connections:
    """A session on the source and one on the target, with their sockets for the watchdog."""

    source: Source
    session: BulkSession

    def __init__(self, ends: Ends) -> None:
        self._ends = ends
        self._sockets: list[Sockets] = []
        self._close: list[Callable[[], None]] = []

    def __enter__(self) -> "_Connections":
        ends = self._ends
        try:
            self.source = Source(ends.uri, lambda connect: self._open(connect, lambda port: port == ends.postgres_port))
        except SOURCE_ERRORS as error:
            raise source_error(error, "the temporary PostgreSQL") from None
        self._close.append(self.source.close)
        try:
            self.session = BulkSession(
                ends.target, opening=lambda connect: self._open(connect, lambda port: is_sql_port(ends.target, port))
            )
        except BaseException as error:
            self.__exit__()
            if isinstance(error, CORE_ERRORS):
                raise explained(error, f"{ends.target.server}/{ends.target.database}") from None
            raise
        self._close.append(self.session.close)
        return self

    def __exit__(self, *_error: object) -> None:
        while self._close:
            self._close.pop()()

    def cut(self) -> None:
        for sockets in self._sockets:
            sockets.cut()

    def _open[T](self, connect: Callable[[], T], is_peer: Callable[[int], bool]) -> T:
        sockets = Sockets(is_peer)
        self._sockets.append(sockets)  # before it connects: a connect that hangs is cut too
        return sockets.opened_by(connect)


def _load(
    connections: _Connections, plan: DatabasePlan, chunk: Chunk, ends: Ends, policy: Policy, heartbeat: Heartbeat
) -> Loaded:
    table = plan.table(chunk.table)
    work = ChunkWork(plan.run, table, policy.table_lock, Conversion(table.columns))
    try:
        return load_chunk(connections.session, connections.source, work, chunk, heartbeat)
    except RowRefused as refused:
        rejects = _rejected(connections, work, chunk, policy, heartbeat, refused)
    # The file is there before the rows are: whoever finds the chunk in the ledger finds its rejects.
    write_lines(ends.staging, runpaths.of_run(plan.run, runpaths.chunk_rejects(chunk.table, chunk.number)), rejects)
    _within_policy(rejects, policy, plan.run, chunk)
    without = [reject.ctid for reject in rejects]
    try:
        return load_chunk(connections.session, connections.source, work, chunk, heartbeat, without)
    except RowRefused as again:
        raise duplicate_row(chunk, f"rows that are refused only together: {again}") from None


def _rejected(
    connections: _Connections, work: ChunkWork, chunk: Chunk, policy: Policy, heartbeat: Heartbeat, why: RowRefused
) -> list[Reject]:
    limit = policy.max_rejects + 1
    rejects = find_rejects(connections.session, connections.source, work, chunk, heartbeat, limit)
    if not rejects and why.number in DUPLICATE_KEY:
        raise duplicate_row(chunk, f"{why}; the rows are refused only together, and too far apart to say which.")
    if not rejects:
        raise Refusal(
            "ROW_REFUSED",
            chunk.about,
            f"expected the target to take every row, found: {why}; each batch alone is taken.",
            "Look at the target's triggers and constraints.",
        )
    return rejects


def _within_policy(rejects: list[Reject], policy: Policy, run: str, chunk: Chunk) -> None:
    if len(rejects) <= policy.max_rejects:
        return
    first = rejects[0]
    key = ", ".join(f"{name} {value}" for name, value in first.key.items()) or f"ctid {first.ctid}"
    keys = "" if policy.table_lock else ", choose options.collation where two keys are equal only to the target"
    raise Refusal(
        "ROW_REFUSED",
        chunk.about,
        f"expected at most {policy.max_rejects} refused rows, found more; the first is the row with {key}: {first.error}",
        f"Mend the row in the source app and take a new snapshot{keys}, or allow some with options.max_rejects. The report "
        f"lists the refused rows that were found, and so does {kept_rejects(run)} in the reports container.",
    )
