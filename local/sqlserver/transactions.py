"""A session's transaction: how deep the client counts it, and PostgreSQL's, which is one."""

from local.sqlserver import tokens
from local.sqlserver.errors import SqlError
from local.sqlserver.server import Hub
from local.sqlserver.sessionstate import Settings, State
from local.sqlserver.store import Store
from local.sqlserver.wire import Channel

# PostgreSQL has neither level; its next stricter one stands for each.
_LEVELS = {"READ UNCOMMITTED": "READ COMMITTED", "SNAPSHOT": "REPEATABLE READ"}


class Transaction:
    """Begins, commits and rolls back, and tells the client of it.

    Args:
        channel: Takes the tokens that tell of a transaction's begin and end.
        hub: Asked whether a fault is injected at COMMIT.
        store: Holds the transaction.
        settings: The isolation level.
        state: Depth, descriptor and savepoints; written here.
    """

    def __init__(self, channel: Channel, hub: Hub, store: Store, settings: Settings, state: State) -> None:
        self._channel, self._hub, self._store = channel, hub, store
        self._settings, self._state = settings, state
        self._begun = 0

    def begin(self) -> None:
        """BEGIN TRANSACTION; only the first one begins anything."""
        if self._state.trancount == 0:
            self._begun += 1
            self._state.descriptor = self._begun
            self._begin_in_store()
            self._channel.write(tokens.transaction_begun(self._state.descriptor))
        self._state.trancount += 1

    def hold(self) -> None:
        """Begins PostgreSQL's transaction anew where the client's is open and PostgreSQL's has ended."""
        if self._state.trancount and not self._store.in_transaction:
            self._begin_in_store()

    def _begin_in_store(self) -> None:
        level = _LEVELS.get(self._settings.isolation, self._settings.isolation)
        self._store.script(f"BEGIN ISOLATION LEVEL {level}")

    def commit(self) -> None:
        """COMMIT TRANSACTION.

        Raises:
            SqlError: 3902 without a transaction.
        """
        state = self._state
        if state.trancount == 0:
            raise SqlError(3902, "The COMMIT TRANSACTION request has no corresponding BEGIN TRANSACTION.")
        if state.trancount > 1:
            state.trancount -= 1
            return
        fault = self._hub.fault("commit")
        if fault and fault["kind"] == "reset_before_commit":
            self._channel.reset()
        if fault and fault["kind"] == "error_commit":
            self.roll_back()
            raise SqlError(fault["number"], f"Injected fault: error {fault['number']} at COMMIT.", 16)
        try:
            self._store.script("COMMIT")
        except SqlError:
            self.roll_back()
            raise
        if fault and fault["kind"] == "reset_after_commit":
            self._channel.reset()
        state.trancount = 0
        state.savepoints.clear()
        self._channel.write(tokens.transaction_ended(state.descriptor, committed=True))

    def commit_all(self) -> None:
        """What the transaction manager's commit does: the whole transaction, whatever its depth."""
        self._state.trancount = min(self._state.trancount, 1)
        self.commit()

    def roll_back(self) -> None:
        """Undoes the whole transaction, whatever its depth."""
        if self._store.in_transaction:
            self._store.script("ROLLBACK")
        if self._state.trancount:
            self._channel.write(tokens.transaction_ended(self._state.descriptor, committed=False))
        self._state.trancount = 0
        self._state.doomed = False
        self._state.savepoints.clear()
