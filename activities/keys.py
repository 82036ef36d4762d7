"""A call that makes keys of a whole PostgreSQL database, or finds that another session is still at work on them."""

from pydantic import Field

from shared.errors import Finding, TransientError
from shared.postgres import locks, postdata
from shared.settings import Postgres
from shared.strict import Strict

WAITS = Field(
    default=0, ge=0, description="Calls that have found another session at work, which the orchestrator counts."
)


class KeysMade(Strict):
    """Output of `make_post_data` and of `make_postgres_keys`."""

    statements: int = 0
    finished: bool = True
    held: Finding | None = Field(default=None, description="Who keeps the call from going on: it is made again.")


def make_keys(server: Postgres, database: str, group: postdata.Group, run: str | None = None) -> KeysMade:
    """Make one group, as `postdata.make` does; what another session holds for longer than a call waits is the answer."""
    try:
        return KeysMade(statements=postdata.make(server, database, group, run))
    except TransientError as error:
        if error.code != locks.POST_DATA.code:
            raise
        return KeysMade(finished=False, held=error.finding())
