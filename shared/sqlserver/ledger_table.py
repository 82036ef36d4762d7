"""The two tables we keep in the target while a run lasts: the run's marker and the ledger of loaded chunks."""

MARKER_TABLE = "__mxferry_run"
LEDGER_TABLE = "__mxferry_ledger"
OUR_TABLES = (MARKER_TABLE, LEDGER_TABLE)

# One row a loaded chunk, written first in the chunk's transaction: its primary key stops a second delivery.
CREATE_LEDGER = f"""\
CREATE TABLE [dbo].[{LEDGER_TABLE}] (
    [run_id] nvarchar(40) NOT NULL,
    [table_name] nvarchar(128) NOT NULL,
    [chunk] int NOT NULL,
    [rows_loaded] bigint NOT NULL,
    [bytes] bigint NOT NULL,
    [rows_rejected] bigint NOT NULL,
    [rounded] bigint NOT NULL,
    [loaded_at] datetime2(3) NOT NULL,
    CONSTRAINT [pk_{LEDGER_TABLE}] PRIMARY KEY CLUSTERED ([run_id], [table_name], [chunk])
)"""

CREATE_MARKER = f"""\
CREATE TABLE [dbo].[{MARKER_TABLE}] (
    [run_id] nvarchar(40) NOT NULL,
    [state] nvarchar(20) NOT NULL,
    [changed_at] datetime2(3) NOT NULL,
    CONSTRAINT [pk_{MARKER_TABLE}] PRIMARY KEY CLUSTERED ([run_id])
)"""
