"""What an exception that no activity expected means: worth another try, hopeless, or an error of ours.

A retry policy cannot tell errors apart, so this module decides which errors are repeated at all, and how often those are
that rarely pass by themselves. No value of a row is quoted: a driver's text is used only where it cannot hold one.
"""

import hashlib
import json
import re
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import adbc_driver_manager
import httpx
import psycopg
import pyarrow as pa
import pyodbc
from azure.core.exceptions import AzureError, HttpResponseError, ResourceExistsError
from pydantic import ValidationError

from shared import runpaths
from shared.blobs import clients
from shared.copying.source import source_error
from shared.errors import MxferryError, Refusal, TransientError
from shared.postgres.diagnosis import classified as postgres_error
from shared.sqlserver.errors import classified as sql_error

OURS = (
    TypeError, LookupError, AttributeError, AssertionError, NameError, NotImplementedError, ArithmeticError,
    ValidationError, pa.ArrowException,
)  # fmt: skip
"""Errors of programming: the same input gives the same error."""
ATTEMPTS = {"SQL_TIMEOUT": 2, "POSTGRES_TIMEOUT": 2, "AZURE_REFUSED": 3, "UNEXPECTED": 3}
"""How often an activity is tried that ends with such a code; all other transient errors get the whole retry policy."""
DENIED = (401, 403)
BUSY = (408, 409, 412, 429)  # and every 5xx; a conflict is another delivery at work

_HOME = Path(__file__).parent.parent
_QUOTED = re.compile(r"'.*'|\".*\"", re.DOTALL)
_SHOWN = 500  # characters of an error's own text


def classify(error: Exception, activity: str, run: str) -> MxferryError:
    """Return an exception as a refusal or as a transient error; of a group, the first refusal among its leaves."""
    found = [_one(leaf, activity, run) for leaf in leaves(error)]
    return next((one for one in found if isinstance(one, Refusal)), found[0])


def leaves(error: Exception) -> Iterator[Exception]:
    """Yield what a group of exceptions (of an asyncio.TaskGroup) is made of, or the exception itself."""
    if isinstance(error, ExceptionGroup):
        for one in error.exceptions:
            yield from leaves(one)
    else:
        yield error


def after_attempts(error: MxferryError, activity: str, payload: dict[str, Any], run: str) -> MxferryError:
    """Return the error, or a refusal in its place if this activity has ended with this code too often for this input."""
    allowed = ATTEMPTS.get(error.code)
    if allowed is None or isinstance(error, Refusal):
        return error
    if attempts_with(error.code, activity, payload, run, allowed) < allowed:
        return error
    return Refusal(error.code, error.about, f"{error.message} It was tried {allowed} times.", error.remedy)


def attempts_with(code: str, activity: str, payload: dict[str, Any], run: str, most: int) -> int:
    """Count an attempt with this input that ended with this code; return the count, which is `most` at most.

    Each attempt is an empty blob in staging, written once.
    """
    called = hashlib.sha256(json.dumps([activity, code, payload], sort_keys=True).encode()).hexdigest()[:32]
    for number in range(1, most):
        try:
            clients.staged(run, runpaths.attempt(called, number)).upload_blob(b"", overwrite=False)
        except ResourceExistsError:
            continue
        except AzureError:
            pass  # without the count the retry policy still ends the attempts
        return number
    return most


def _one(error: Exception, activity: str, run: str) -> MxferryError:
    if isinstance(error, MxferryError):
        return error
    if isinstance(error, psycopg.OperationalError | psycopg.InterfaceError) or (
        isinstance(error, psycopg.Error) and error.sqlstate
    ):
        return postgres_error(error, activity)
    if isinstance(error, pyodbc.Error):
        return sql_error(error, activity)
    if isinstance(error, adbc_driver_manager.Error):
        return source_error(error, activity)
    if isinstance(error, AzureError):
        return _azure(error, activity)
    if isinstance(error, OSError | httpx.TransportError):
        remedy = (
            "Check that the app reaches storage, databases and the internet as far as it needs it, then start again."
        )
        return TransientError("CONNECTION_FAILED", activity, _safe_text(error), remedy)
    if isinstance(error, (*OURS, psycopg.Error)):
        return Refusal("UNEXPECTED", activity, _safe_text(error), _report_it(run))
    return TransientError("UNEXPECTED", activity, _safe_text(error), _report_it(run))


def _azure(error: AzureError, activity: str) -> MxferryError:
    if not isinstance(error, HttpResponseError) or error.status_code is None:
        remedy = "Check the account's name, its firewall and private endpoints, and the app's identity."
        return TransientError(
            "AZURE_UNREACHABLE", activity, f"expected an answer, found {type(error).__name__}.", remedy
        )
    status, request = error.status_code, getattr(error.response, "request", None)
    asked = str(request.url).partition("?")[0] if request is not None else "the service"
    code = getattr(error, "error_code", None) or error.reason
    found = f"expected success from {asked}, found status {status} {getattr(code, 'value', code)}."
    if status in DENIED:
        remedy = (
            "Give the app's identity its roles (docs/security.md lists them; a new one takes some minutes to work), and "
            "look at the account's firewall."
        )
        return Refusal("AZURE_DENIED", activity, found, remedy)
    if status in BUSY or status >= 500:
        return TransientError(
            "AZURE_BUSY", activity, found, "Look at the service's health and limits, then start again."
        )
    return TransientError("AZURE_REFUSED", activity, found, "Look at what the address names: is it there, is it ours?")


def _safe_text(error: Exception) -> str:
    """Return kind, place and text of an error, without values that its text may quote."""
    if isinstance(error, ValidationError):
        text = "; ".join(f"{'.'.join(map(str, one['loc']))}: {one['type']}" for one in error.errors()[:10])
    else:
        text = " ".join(str(error).split())
        if isinstance(error, ValueError | pa.ArrowException | psycopg.Error):
            text = _QUOTED.sub("(not shown)", text)
    return f"{type(error).__name__}{_place(error)}: {text[:_SHOWN]}"


def _place(error: Exception) -> str:
    """Return where in our code it was raised; empty if none of our code is in the traceback."""
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        path = Path(frame.filename)
        if path.is_relative_to(_HOME) and "site-packages" not in path.parts:
            return f" at {path.relative_to(_HOME)}:{frame.lineno}"
    return ""


def _report_it(run: str) -> str:
    return f"This looks like an error of mxferry: the app's log has the trace under run {run}. Report it with code and place."
