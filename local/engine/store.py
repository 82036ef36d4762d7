"""The state file: tables, rows and the statements that change them.

Every method runs on the one connection under the engine's lock, inside `transaction()`; whoever calls several of them
in one transaction gets one atomic state change.
"""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from durabletask.internal import orchestrator_service_pb2 as pb

from local.engine.events import now

SCHEMA_VERSION = 1

TERMINAL = frozenset(
    {
        pb.ORCHESTRATION_STATUS_COMPLETED,
        pb.ORCHESTRATION_STATUS_FAILED,
        pb.ORCHESTRATION_STATUS_TERMINATED,
        pb.ORCHESTRATION_STATUS_CANCELED,
    }
)

# A row of `instance` is one execution: continue-as-new and restart replace it by one with a new key, so that whatever
# still refers to the old key (a late activity result, a timer) finds nothing. AUTOINCREMENT never reuses a key.
SCHEMA = """
CREATE TABLE instance (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    id TEXT NOT NULL UNIQUE,
    execution TEXT NOT NULL,
    name TEXT NOT NULL,
    version TEXT,
    status INTEGER NOT NULL,
    started INTEGER NOT NULL DEFAULT 0,
    input TEXT,
    output TEXT,
    custom_status TEXT,
    failure BLOB,
    tags TEXT,
    trace BLOB,
    created INTEGER NOT NULL,
    updated INTEGER NOT NULL,
    completed INTEGER,
    scheduled INTEGER,
    parent_key INTEGER,
    parent_id TEXT,
    parent_name TEXT,
    parent_task INTEGER
);
CREATE INDEX instance_parent ON instance (parent_id) WHERE parent_id IS NOT NULL;
CREATE INDEX instance_created ON instance (created, id);
CREATE TABLE history (
    key INTEGER NOT NULL REFERENCES instance (key) ON DELETE CASCADE,
    turn INTEGER NOT NULL,
    events BLOB NOT NULL,
    PRIMARY KEY (key, turn)
);
CREATE TABLE inbox (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key INTEGER NOT NULL REFERENCES instance (key) ON DELETE CASCADE,
    kind TEXT NOT NULL,
    event BLOB NOT NULL
);
CREATE INDEX inbox_key ON inbox (key);
CREATE TABLE activity (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key INTEGER NOT NULL,
    instance_id TEXT NOT NULL,
    task INTEGER NOT NULL,
    name TEXT NOT NULL,
    version TEXT,
    input TEXT,
    tags TEXT,
    trace BLOB
);
CREATE INDEX activity_instance ON activity (instance_id);
CREATE INDEX activity_key ON activity (key);
CREATE TABLE timer (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    key INTEGER NOT NULL REFERENCES instance (key) ON DELETE CASCADE,
    task INTEGER,
    fire_at INTEGER NOT NULL
);
CREATE INDEX timer_key ON timer (key);
"""


@dataclass(frozen=True, slots=True)
class Instance:
    """One row of `instance`; times in microseconds since 1970."""

    key: int
    id: str
    execution: str
    name: str
    version: str | None
    status: int
    started: int
    input: str | None
    output: str | None
    custom_status: str | None
    failure: bytes | None
    tags: str | None
    trace: bytes | None
    created: int
    updated: int
    completed: int | None
    scheduled: int | None
    parent_key: int | None
    parent_id: str | None
    parent_name: str | None
    parent_task: int | None

    @property
    def is_terminal(self) -> bool:
        """Whether the execution has ended."""
        return self.status in TERMINAL

    @property
    def tag_map(self) -> dict[str, str]:
        """The tags."""
        return dict(json.loads(self.tags)) if self.tags else {}


@dataclass(frozen=True, slots=True)
class Activity:
    """One row of `activity`: scheduled and not yet answered."""

    seq: int
    key: int
    instance_id: str
    task: int
    name: str
    version: str | None
    input: str | None
    tags: str | None
    trace: bytes | None


@dataclass(frozen=True, slots=True)
class TimerRow:
    """One row of `timer`; `task` is None for the delayed start of an instance."""

    seq: int
    key: int
    task: int | None
    fire_at: int


class Store:
    """The connection to the state file."""

    def __init__(self, path: Path) -> None:
        path.touch(mode=0o600)  # inputs and outputs are nobody else's business; the log files take over the mode
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode = WAL")
        # NORMAL does not sync at every commit: safe against the death of the process, not of the machine.
        self._db.execute("PRAGMA synchronous = NORMAL")
        self._db.execute("PRAGMA foreign_keys = ON")
        self._db.execute("PRAGMA journal_size_limit = 67108864")
        self._db.execute("PRAGMA cache_size = -8000")
        self._create()

    def _create(self) -> None:
        version = self._db.execute("PRAGMA user_version").fetchone()[0]
        if version == 0:
            self._db.executescript(f"BEGIN; {SCHEMA} PRAGMA user_version = {SCHEMA_VERSION}; COMMIT;")
        elif version != SCHEMA_VERSION:
            raise RuntimeError(
                f"expected a state file of version {SCHEMA_VERSION}, found {version}; give another state file"
            )

    def close(self) -> None:
        """Close the file; the write-ahead log is folded in."""
        self._db.close()

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """Run the block as one atomic change."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            yield
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def query(self, sql: str, parameters: tuple[object, ...] = ()) -> list[tuple[object, ...]]:
        """Return the rows of a SELECT."""
        return self._db.execute(sql, parameters).fetchall()

    # -- instances

    def instance(self, instance_id: str) -> Instance | None:
        """Return the current execution of an instance."""
        row = self._db.execute("SELECT * FROM instance WHERE id = ?", (instance_id,)).fetchone()
        return Instance(*row) if row else None

    def execution(self, key: int) -> Instance | None:
        """Return an execution by its key; None once it was replaced or purged."""
        row = self._db.execute("SELECT * FROM instance WHERE key = ?", (key,)).fetchone()
        return Instance(*row) if row else None

    def children(self, instance_id: str) -> list[Instance]:
        """Return the sub-orchestrations an instance started."""
        rows = self._db.execute("SELECT * FROM instance WHERE parent_id = ?", (instance_id,))
        return [Instance(*row) for row in rows]

    def insert_instance(self, **columns: object) -> int:
        """Add an execution and return its key."""
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        cursor = self._db.execute(f"INSERT INTO instance ({names}) VALUES ({marks})", tuple(columns.values()))
        return int(cursor.lastrowid or 0)

    def update_instance(self, key: int, **columns: object) -> None:
        """Change columns of an execution; `updated` follows."""
        sets = ", ".join(f"{name} = ?" for name in columns)
        self._db.execute(
            f"UPDATE instance SET {sets}{', ' if sets else ''}updated = ? WHERE key = ?",
            (*columns.values(), now(), key),
        )

    def delete_instance(self, key: int) -> None:
        """Remove an execution with its history, inbox and timers; its activities are removed by `delete_activities`."""
        self._db.execute("DELETE FROM instance WHERE key = ?", (key,))

    # -- history

    def append_history(self, key: int, events: bytes) -> None:
        """Add the events of one turn."""
        self._db.execute(
            "INSERT INTO history SELECT ?1, 1 + COALESCE(MAX(turn), 0), ?2 FROM history WHERE key = ?1", (key, events)
        )

    def history(self, key: int) -> list[bytes]:
        """Return the fragments of an execution's history, oldest first."""
        return [row[0] for row in self._db.execute("SELECT events FROM history WHERE key = ? ORDER BY turn", (key,))]

    # -- inbox

    def post(self, key: int, event: pb.HistoryEvent) -> None:
        """Put an event into an execution's inbox."""
        self._db.execute(
            "INSERT INTO inbox (key, kind, event) VALUES (?, ?, ?)",
            (key, event.WhichOneof("eventType"), event.SerializeToString()),
        )

    def inbox(self, key: int) -> list[tuple[int, str, bytes]]:
        """Return (seq, kind, event) of what waits for an execution, in order of arrival."""
        return self._db.execute("SELECT seq, kind, event FROM inbox WHERE key = ? ORDER BY seq", (key,)).fetchall()

    def forget(self, seqs: list[int]) -> None:
        """Take delivered events out of the inbox."""
        self._db.executemany("DELETE FROM inbox WHERE seq = ?", [(seq,) for seq in seqs])

    def clear_inbox(self, key: int) -> None:
        """Drop everything that waits for an execution."""
        self._db.execute("DELETE FROM inbox WHERE key = ?", (key,))

    def keys_with_mail(self) -> list[int]:
        """Return the executions that have something waiting."""
        return [row[0] for row in self._db.execute("SELECT key FROM inbox GROUP BY key ORDER BY MIN(seq)")]

    # -- activities

    def insert_activity(self, **columns: object) -> int:
        """Add a scheduled activity and return its number."""
        names = ", ".join(columns)
        marks = ", ".join("?" * len(columns))
        cursor = self._db.execute(f"INSERT INTO activity ({names}) VALUES ({marks})", tuple(columns.values()))
        return int(cursor.lastrowid or 0)

    def activity(self, seq: int) -> Activity | None:
        """Return a scheduled activity; None once it was answered or dropped."""
        row = self._db.execute("SELECT * FROM activity WHERE seq = ?", (seq,)).fetchone()
        return Activity(*row) if row else None

    def has_activities(self, key: int) -> bool:
        """Whether an execution waits for activities."""
        sql = "SELECT 1 FROM activity WHERE key = ? LIMIT 1"
        return self._db.execute(sql, (key,)).fetchone() is not None

    def delete_activity(self, seq: int) -> None:
        """Remove an answered activity."""
        self._db.execute("DELETE FROM activity WHERE seq = ?", (seq,))

    def delete_activities(self, instance_id: str) -> None:
        """Drop every activity of an instance, those of its replaced executions too."""
        self._db.execute("DELETE FROM activity WHERE instance_id = ?", (instance_id,))

    def activities(self) -> list[tuple[int, str, str | None]]:
        """Return (seq, name, version) of every unanswered activity, oldest first."""
        return self._db.execute("SELECT seq, name, version FROM activity ORDER BY seq").fetchall()

    # -- timers

    def insert_timer(self, key: int, task: int | None, fire_at: int) -> int:
        """Add a timer and return its number."""
        cursor = self._db.execute("INSERT INTO timer (key, task, fire_at) VALUES (?, ?, ?)", (key, task, fire_at))
        return int(cursor.lastrowid or 0)

    def timer(self, seq: int) -> TimerRow | None:
        """Return a timer that has not fired."""
        row = self._db.execute("SELECT * FROM timer WHERE seq = ?", (seq,)).fetchone()
        return TimerRow(*row) if row else None

    def delete_timer(self, seq: int) -> None:
        """Remove a timer that fired."""
        self._db.execute("DELETE FROM timer WHERE seq = ?", (seq,))

    def delete_timers(self, key: int) -> None:
        """Drop the timers of an execution."""
        self._db.execute("DELETE FROM timer WHERE key = ?", (key,))

    def timers(self) -> list[tuple[int, int]]:
        """Return (seq, fire_at) of every timer."""
        return self._db.execute("SELECT seq, fire_at FROM timer").fetchall()

    def replace_execution(self, old: int, new: int) -> None:
        """Move what still concerns the instance to its new execution; stale results go with the old one."""
        self._db.execute(
            """
            INSERT INTO inbox (key, kind, event)
            SELECT ?, kind, event FROM inbox
             WHERE key = ? AND kind IN ('eventRaised', 'executionSuspended', 'executionResumed')
             ORDER BY seq
            """,
            (new, old),
        )
        self.delete_instance(old)
