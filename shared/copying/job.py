"""A job: the chunks that one activity loads over one session on each side, under the watchdog."""

from collections.abc import Callable
from dataclasses import dataclass, field

from azure.storage.blob import ContainerClient

from shared import runpaths
from shared.budget import Budget
from shared.copying.arrow import Conversion
from shared.copying.load import ChunkWork, RowRefused, core_error, load_chunk
from shared.copying.model import Chunk, Job, Loaded, Reject
from shared.copying.rejects import Search
from shared.copying.source import SOURCE_ERRORS, Source, source_error
from shared.copying.stage import write_lines
from shared.copying.watchdog import Heartbeat, Sockets, run_watched
from shared.databaseplan import DatabasePlan
from shared.errors import Refusal, TransientError
from shared.rowcontracts import Stopped, kept_rejects
from shared.settings import SqlServer
from shared.sqlserver.bulk import CORE_ERRORS, BulkSession, is_sql_port

STALL_SECONDS = 180.0
SEARCH_SECONDS = 15 * 60
"""For the refused rows of one job: well before the host ends the activity, and before other deliveries stop asking for it."""
SLOW_DOWN: dict[str, Stopped] = {
    "SQL_THROTTLED": "throttled", "SQL_TOO_GREEDY": "greedy", "CHUNK_BUSY": "busy", "MEMORY_BUSY": "busy",
    "SEARCH_ENDED": "searching",
}  # fmt: skip


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
    stopped: Stopped | None = None


def run_job(job: Job, plan: DatabasePlan, ends: Ends, policy: Policy) -> JobDone:
    """Load the job's chunks in order. Throttling ends it early with `stopped`; so does a chunk that is being loaded,
    and one that another call has to search for refused rows.

    Raises TransientError or Refusal about the table and chunk; chunks loaded before stay loaded, and the ledger knows.
    """
    heartbeat = Heartbeat()
    about = f"job {job.number} ({job.chunks[0].about})"
    connections = _Connections(ends)
    done = JobDone()

    def work() -> None:
        heartbeat.beat("connecting")
        search = _SearchTime()
        with connections:
            for chunk in job.chunks:
                done.loaded.append(_load(connections, plan, chunk, ends, policy, heartbeat, search))

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
                raise core_error(error, f"{ends.target.server}/{ends.target.database}") from None
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


class _SearchTime:
    """When a job's chunks are no longer searched for refused rows: `SEARCH_SECONDS` after the first search began.

    What other chunks have left of it may be too little for a chunk. It is searched by the next call then, which finds them
    in the ledger. So each call loads one chunk more at least, or ends the run.
    """

    def __init__(self) -> None:
        self._budget: Budget | None = None

    def begin(self) -> tuple[Budget, bool]:
        """Return the time there is, and whether all of it is there."""
        whole = self._budget is None
        self._budget = self._budget or Budget(SEARCH_SECONDS)
        return self._budget, whole


def _load(
    connections: _Connections,
    plan: DatabasePlan,
    chunk: Chunk,
    ends: Ends,
    policy: Policy,
    heartbeat: Heartbeat,
    search: _SearchTime,
) -> Loaded:
    table = plan.table(chunk.table)
    work = ChunkWork(plan.run, table, policy.table_lock, Conversion(table.columns))
    try:
        return load_chunk(connections.session, connections.source, work, chunk, heartbeat)
    except RowRefused:
        pass
    budget, whole = search.begin()

    def keep(rejects: list[Reject], unfinished: bool) -> None:
        # The file is there before the rows are: whoever finds the chunk in the ledger finds its rejects.
        write_lines(ends.staging, runpaths.of_run(plan.run, runpaths.chunk_rejects(chunk.table, chunk.number)), rejects)
        _within_policy(rejects, policy, plan.run, chunk)
        if unfinished and not whole:
            raise TransientError("SEARCH_ENDED", chunk.about, "chunks before it have taken the time for the search.")
        if unfinished:
            raise _too_many(rejects, plan.run, chunk)

    limit = policy.max_rejects + 1
    return Search(connections.session, work, chunk, heartbeat, limit, budget, keep).load_chunk(connections.source)


def _within_policy(rejects: list[Reject], policy: Policy, run: str, chunk: Chunk) -> None:
    if len(rejects) <= policy.max_rejects:
        return
    keys = "" if policy.table_lock else ", choose options.collation where two keys are equal only to the target"
    raise Refusal(
        "ROW_REFUSED",
        chunk.about,
        f"expected at most {policy.max_rejects} refused rows, found more; the first is {_named(rejects[0])}",
        f"Mend the row in the source app and take a new snapshot{keys}, or allow some with options.max_rejects. The report "
        f"lists the refused rows that were found, and so does {kept_rejects(run)} in the reports container.",
    )


def _too_many(rejects: list[Reject], run: str, chunk: Chunk) -> Refusal:
    first = f" The first is {_named(rejects[0])}" if rejects else ""
    return Refusal(
        "ROW_REFUSED",
        chunk.about,
        f"expected to find every refused row within {SEARCH_SECONDS // 60} minutes, found {len(rejects)} and no end: too "
        f"many to name.{first}",
        "Mend what the rows have in common in the source app, or choose the remedy of the data preflight that fits it. "
        f"The report lists those that were found, and so does {kept_rejects(run)} in the reports container.",
    )


def _named(reject: Reject) -> str:
    key = ", ".join(f"{name} {value}" for name, value in reject.key.items()) or f"ctid {reject.ctid}"
    return f"the row with {key}: {reject.error}"
