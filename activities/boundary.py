"""The durable boundary of every activity: JSON dict in, JSON dict out, no secrets either way.

`@activity` turns `def copy_chunks(work: CopyJob) -> JobCopied` into the `(ctx, dict) -> dict` that both hosts call.
A `Refusal` becomes `{"refused": {...}}`, which no retry policy repeats. An error that may pass is raised, and the retry
policy repeats the activity. For unexpected exceptions `activities.failures` decides which of the two they are.
An activity refuses before it works if its run was asked to abort, has failed on one of its sides, or is being cleaned up;
a `@closing_activity` works all the same.
"""

import logging
import time
import traceback
from collections.abc import Callable
from typing import Any, cast, get_type_hints

from pydantic import BaseModel

from activities.failures import after_attempts, classify, leaves
from shared import events, runs
from shared.contracts import Run
from shared.errors import MxferryError, Refusal, TransientError
from shared.redaction import redact

MOST_TEXT = 8_000
MOST_ABOUT = 400
"""Most characters of an error's sentences, and of its object, that cross the boundary: history and report keep them."""

log = logging.getLogger("mxferry.activity")

Boundary = Callable[[Any, dict[str, Any]], dict[str, Any]]


def activity[I: BaseModel, O: BaseModel](function: Callable[[I], O]) -> Boundary:
    """Wrap a typed function as an activity of the same name, which stops when its run is aborted or has failed."""
    return _bounded(function, stops=True)


def closing_activity[I: BaseModel, O: BaseModel](function: Callable[[I], O]) -> Boundary:
    """Wrap a typed function as an activity that ends a run: it works after an abort too."""
    return _bounded(function, stops=False)


def _bounded[I: BaseModel, O: BaseModel](function: Callable[[I], O], *, stops: bool) -> Boundary:
    name = function.__name__
    model = cast("type[I]", next(kind for key, kind in get_type_hints(function).items() if key != "return"))

    def run(_ctx: Any, payload: dict[str, Any]) -> dict[str, Any]:
        work: BaseModel | None = None
        started = time.monotonic()
        try:
            work = model.model_validate(payload)
            if stops:
                _stop_if_over(work)
            result = function(work).model_dump(mode="json")
        except Exception as error:  # noqa: BLE001 - classified, logged, and answered or raised
            failure = _failure(error, name, payload, work if stops else None)
            return _ended_badly(failure, name, work, time.monotonic() - started)
        events.activity_ended(name, work, time.monotonic() - started, result)
        return result

    run.__name__ = run.__qualname__ = name
    run.__doc__ = function.__doc__
    run.__module__ = function.__module__
    run.typed = function  # type: ignore[attr-defined]  # for tests: the function under the boundary
    return run


def _failure(error: Exception, name: str, payload: dict[str, Any], counted: BaseModel | None) -> MxferryError:
    """Return an exception as our error; one that `counted` work has ended with too often becomes a refusal."""
    if isinstance(error, MxferryError):
        failure = error
    else:
        failure = classify(error, name, str(payload.get("run", {}).get("id", "")))
        # Only the frames: the texts of exceptions may quote rows.
        frames = [line for leaf in leaves(error) for line in traceback.format_tb(leaf.__traceback__)]
        log.error("%s failed: %s\n%s", name, failure, "".join(frames))
    run = getattr(counted, "run", None)
    return after_attempts(failure, name, payload, run.id) if isinstance(run, Run) else failure


def _ended_badly(failure: MxferryError, name: str, work: BaseModel | None, seconds: float) -> dict[str, Any]:
    """Answer a refusal; raise everything else, for the retry policy. No secret crosses the boundary either way."""
    about, message, remedy = _fit(failure.about, MOST_ABOUT), _fit(failure.message), _fit(failure.remedy)
    if not isinstance(failure, Refusal):
        events.activity_ended(name, work, seconds, None, failure.code)
        # `from None`: the cause's text would cross the boundary unredacted with the traceback.
        raise TransientError(failure.code, about, message, remedy) from None
    refusal = Refusal(failure.code, about, message, remedy)
    log.warning("%s refused: %s", name, refusal)
    answer = {"refused": refusal.finding().model_dump(mode="json")}
    events.activity_ended(name, work, seconds, answer)
    return answer


def _fit(text: str, most: int = MOST_TEXT) -> str:
    """Return a text without secrets, cut to `most` characters: it may quote a very long name of an archive or a server."""
    text = redact(text)
    return text if len(text) <= most else f"{text[:most]} …"


def _stop_if_over(work: BaseModel) -> None:
    run = getattr(work, "run", None)
    if isinstance(run, Run):
        runs.stop_if_closed(run.id)
        runs.stop_if_aborted(run.id)
        runs.stop_if_side_failed(run.id)
