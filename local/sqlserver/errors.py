"""Errors as SQL Server numbers them."""


class SqlError(Exception):
    """An error the client gets as an ERROR token.

    Args:
        number: SQL Server's error number; 50000 and above are the stand-in's own.
        message: Text as SQL Server writes it.
        severity: Class of the error; 16 is the user's, 20 and above end the session.
        state: State of the error.
    """

    def __init__(self, number: int, message: str, severity: int = 16, state: int = 1) -> None:
        super().__init__(message)
        self.number = number
        self.message = message
        self.severity = severity
        self.state = state
        self.followed_by: SqlError | None = None


class NotUnderstoodError(SqlError):
    """The stand-in does not serve this statement, or this part of it."""

    def __init__(self, what: str, statement: str = "") -> None:
        self.what = what
        text = f"the stand-in does not understand: {what}"
        if statement and statement.strip() != what.strip():
            text += f" in: {statement.strip()[:1500]}"
        super().__init__(50000, text)


class ReturnError(Exception):
    """RETURN: ends a batch or procedure."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


class ConnectionClosedError(Exception):
    """The client is gone, or a fault says that it is to be cut off."""


class AttentionError(Exception):
    """The client asked for the running request to be cancelled."""


# Errors after which SQL Server goes on with the next statement of the batch when XACT_ABORT is off.
STATEMENT_ERRORS = frozenset({515, 547, 2601, 2627, 2628, 8115, 8134, 1222, 1505, 3902, 3903})


def syntax_error(near: str) -> SqlError:
    """102."""
    return SqlError(102, f"Incorrect syntax near '{near}'.", 15)


def invalid_object(name: str) -> SqlError:
    """208."""
    return SqlError(208, f"Invalid object name '{name}'.")


def invalid_column(name: str) -> SqlError:
    """207."""
    return SqlError(207, f"Invalid column name '{name}'.")
