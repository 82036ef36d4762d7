"""Exactly-once under fire where keys are there before the rows: rows that are refused, and keys that are equal."""

from collections import Counter
from typing import Any

import psycopg
import pyodbc
from azure.storage.blob import BlobServiceClient, ContainerClient

from bench.copy_faults import AS_KEPT, SEEDS, STALL_SECONDS, cut, deliver_all, dying, inject, told
from bench.copy_stand import COLUMNS, WIDE, CopyStand, copy_stand
from bench.harness import Measured, bench
from local.azurite import Azurite
from local.sqlserver.control import Control
from shared.copying.job import Ends, Policy
from shared.copying.stage import all_rejects, forget_rejects
from shared.databaseplan import DatabasePlan, IndexColumn, PlannedIndex
from shared.sqlserver import marker
from shared.sqlserver.connection import connection_string
from shared.sqlserver.ddl import create_table
from shared.sqlserver.ledger import loaded_chunks

CHUNKS, DUPLICATES = 40, 12
ROWS_A_CHUNK = 800
BAD, PAIRS = 10, 10
KEYED = dying(
    WIDE.model_copy(
        update={
            "columns": [
                one.model_copy(update={"nullable": False}) if one.name == "code" else one for one in WIDE.columns
            ],
            "primary_key": PlannedIndex(name="pk_wide", columns=[IndexColumn(name="code")], unique=True),
        }
    )
)
# 101 emoji are 202 UTF-16 units, which nvarchar(200) does not take. `code-6` is CODE-6 to the target: some of them lie in
# the chunk of the other one, some in a chunk far away, which may be loaded at the same time.
SPOIL = """
    UPDATE wide SET name = repeat('😀', 101) WHERE id %% %(step)s = 5 AND id <= %(bad)s * %(step)s;
    UPDATE wide SET code = lower('CODE-' || id - 1) WHERE id %% %(step)s = 7 AND id <= %(pairs)s * %(step)s;
    UPDATE wide SET code = lower('CODE-' || id - %(far)s) WHERE id %% %(step)s = 9 AND id > %(far)s
                                                           AND id <= %(far)s + %(pairs)s * %(step)s;
    CREATE INDEX by_id ON wide (id); CLUSTER wide USING by_id; DROP INDEX by_id
"""


@bench("copy_faults_keys", unit="rows twice, missing, changed or left out for no reason", goal="= 0")
def rows_wrong_with_keys_first() -> Measured:
    """40 chunks and 12 duplicate deliveries into a keyed table, with refused rows and equal keys, for each of 5 seeds."""
    wrong, left_out, codes = 0, 0, Counter[str]()
    with (
        copy_stand(CHUNKS * ROWS_A_CHUNK, discard=False) as stand,
        Azurite(stand.folder / "azurite") as azurite,
        BlobServiceClient.from_connection_string(azurite.connection_string) as service,
        Control(stand.control_port) as control,
    ):
        staging = service.create_container("staging")
        pages, rows = _spoil(stand)
        for seed in range(1, SEEDS + 1):
            run = f"seed-{seed}"
            _empty(stand, run)
            inject(control, seed, probability=0.02)
            ends = Ends(stand.uri, stand.postgres.port, stand.target, staging)
            plan, policy = DatabasePlan(run=run, tables=[KEYED]), Policy(False, BAD + 2 * PAIRS, STALL_SECONDS)
            codes += deliver_all(plan, ends, policy, cut(pages, CHUNKS), DUPLICATES, seed)
            control.clear()
            bad, found = _wrong(stand, staging, run, rows)
            wrong, left_out = wrong + bad, left_out + found
        fired = Counter(control.fired())
    return Measured(wrong, "", f"{left_out} rows left out; {told(CHUNKS, DUPLICATES, fired, codes)}")


def _spoil(stand: CopyStand) -> tuple[int, dict[str, tuple[Any, ...]]]:
    """Make refused rows and equal keys; return the pages of the table and its rows as the target keeps them, by code."""
    step = CHUNKS * ROWS_A_CHUNK // 4 // PAIRS
    numbers = {"step": step, "bad": BAD, "pairs": PAIRS, "far": CHUNKS * ROWS_A_CHUNK // 2}
    names = ", ".join(AS_KEPT if name == "changeddate" else name for name in COLUMNS)
    with psycopg.connect(stand.uri, autocommit=True, cursor_factory=psycopg.ClientCursor) as connection:
        for statement in SPOIL.split(";"):
            connection.execute(statement.encode(), numbers)
        pages = connection.execute("SELECT pg_relation_size('wide') / 8192").fetchone()
        rows = connection.execute(f"SELECT {names} FROM wide".encode()).fetchall()
    by_code = {row[list(COLUMNS).index("code")]: row for row in rows}
    if pages is None or len(by_code) != CHUNKS * ROWS_A_CHUNK:
        raise RuntimeError(f"expected {CHUNKS * ROWS_A_CHUNK} different codes, found {len(by_code)}.")
    return int(pages[0]), by_code


def _empty(stand: CopyStand, run: str) -> None:
    with pyodbc.connect(connection_string(stand.target), autocommit=True) as connection:
        connection.execute("DROP TABLE [dbo].[wide]")
        connection.execute(create_table(KEYED, with_key=True))
        marker.set_created(connection, run)


def _wrong(stand: CopyStand, staging: ContainerClient, run: str, rows: dict[str, tuple[Any, ...]]) -> tuple[int, int]:
    """Count what is wrong: rows, reasons, and numbers in the ledger; return it, and how many rows were left out."""
    names = ", ".join(f"[{name}]" for name in COLUMNS)
    with pyodbc.connect(connection_string(stand.target), autocommit=True) as connection:
        found = Counter(tuple(row) for row in connection.execute(f"SELECT {names} FROM [dbo].[wide]").fetchall())
        ledger = loaded_chunks(connection, run)
    forget_rejects(staging, run, {(one.table, one.chunk) for one in ledger if not one.rejected})
    out = Counter(reject.key["code"] for reject in all_rejects(staging, run))
    expected = Counter(row for code, row in rows.items() if not out[code])
    wrong = sum(abs(found[row] - expected[row]) for row in found.keys() | expected.keys())
    wrong += abs(sum(one.rejected for one in ledger) - out.total()) + sum(times - 1 for times in out.values())
    may = Counter(code.upper() for code in rows)
    wrong += sum(1 for code in out if may[code.upper()] == 1 and len(rows[code][2].encode("utf-16-le")) <= 400)
    return wrong, out.total()
