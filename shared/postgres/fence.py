"""Whose target it is. `mxferry.run` names the run that made the tables; what writes for a run holds its row to the end.

An activity may be delivered when its run is long over: then the target is finished and an app may live on it, or another
run has made its own tables there. Such a delivery finds no row. And whoever drops our schema, to begin anew or at the end,
waits for deliveries that have found theirs.
"""

from typing import Any

import psycopg

from shared.errors import Refusal, TransientError

CREATE_MARKER = "CREATE TABLE mxferry.run (id text PRIMARY KEY, dropped jsonb NOT NULL)"


def hold(connection: psycopg.Connection[Any], run: str) -> None:
    """Hold the run's marker until the transaction ends.

    Raises `Refusal` RUN_OVER when the target is not this run's (any more), and `TransientError` TARGET_IN_USE when
    somebody is taking it, for longer than the session's lock_timeout.
    """
    try:
        found = connection.execute("SELECT FROM mxferry.run WHERE id = %s FOR SHARE", (run,)).rowcount
    except psycopg.errors.UndefinedTable:
        found = 0
    except psycopg.errors.LockNotAvailable:
        message = "expected to hold the run's marker, found another run or the clean-up at work on it."
        raise TransientError("TARGET_IN_USE", "mxferry.run", message) from None
    if not found:
        raise Refusal(
            "RUN_OVER", run,
            "expected the target to hold this run's marker, found it finished or another run's: this delivery came too "
            "late.",
            "Nothing to do; nothing was done.",
        )  # fmt: skip
