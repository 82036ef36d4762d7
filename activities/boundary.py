"""The durable boundary of every activity: JSON dict in, JSON dict out, no secrets either way.

`@activity` turns `def copy_chunk(work: CopyChunk) -> ChunkCopied` into the `(ctx, dict) -> dict` that both hosts call.
A `Refusal` becomes `{"refused": {...}}`, which no retry policy repeats; everything else is raised, and repeated.
An activity whose run was asked to abort, has failed on one of its sides, or is being cleaned up, refuses before it works;
`@closing_activity` works all the same.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, cast, get_type_hints

from pydantic import BaseModel

from shared import events, runs
from shared.contracts import Run
from shared.errors import MxferryError, Refusal, TransientError
from shared.redaction import redact

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
        work = model.model_validate(payload)
        started = time.monotonic()
        try:
            if stops:
                _stop_if_over(work)
            result = function(work).model_dump(mode="json")
        except Refusal as refusal:
            log.warning("%s refused: %s", name, refusal)
            finding = refusal.finding().model_copy(update={"message": redact(refusal.message)})
            answer = {"refused": finding.model_dump(mode="json")}
            events.activity_ended(name, work, time.monotonic() - started, answer)
            return answer
        except MxferryError as error:
            events.activity_ended(name, work, time.monotonic() - started, None, error.code)
            raise TransientError(error.code, error.about, redact(error.message), error.remedy) from None
        except Exception as error:
            log.exception("%s failed", name)
            events.activity_ended(name, work, time.monotonic() - started, None, "UNEXPECTED")
            # `from None`: the cause's text would cross the boundary unredacted with the traceback.
            raise TransientError("UNEXPECTED", name, redact(f"{type(error).__name__}: {error}")) from None
        events.activity_ended(name, work, time.monotonic() - started, result)
        return result

    run.__name__ = run.__qualname__ = name
    run.__doc__ = function.__doc__
    run.__module__ = function.__module__
    run.typed = function  # type: ignore[attr-defined]  # for tests: the function under the boundary
    return run


def _stop_if_over(work: BaseModel) -> None:
    run = getattr(work, "run", None)
    if isinstance(run, Run):
        runs.stop_if_closed(run.id)
        runs.stop_if_aborted(run.id)
        runs.stop_if_side_failed(run.id)
