"""The durable boundary of every activity: JSON dict in, JSON dict out, no secrets either way.

`@activity` turns `def copy_chunk(work: CopyChunk) -> ChunkCopied` into the `(ctx, dict) -> dict` that both hosts call.
A `Refusal` becomes `{"refused": {...}}`, which no retry policy repeats; everything else is raised, and repeated.
"""

import logging
import time
from collections.abc import Callable
from typing import Any, cast, get_type_hints

from pydantic import BaseModel

from shared.errors import MxferryError, Refusal, TransientError

log = logging.getLogger("mxferry.activity")

Boundary = Callable[[Any, dict[str, Any]], dict[str, Any]]


def activity[I: BaseModel, O: BaseModel](function: Callable[[I], O]) -> Boundary:
    """Wrap a typed function as an activity of the same name."""
    name = function.__name__
    model = cast("type[I]", next(kind for key, kind in get_type_hints(function).items() if key != "return"))

    def run(_ctx: Any, payload: dict[str, Any]) -> dict[str, Any]:
        work = model.model_validate(payload)
        started = time.monotonic()
        try:
            result = function(work).model_dump(mode="json")
        except Refusal as refusal:
            log.warning("%s refused: %s", name, refusal)
            return {"refused": refusal.finding().model_dump(mode="json")}
        except MxferryError:
            raise
        except Exception as error:
            log.exception("%s failed", name)
            raise TransientError("UNEXPECTED", name, f"{type(error).__name__}: {error}") from error
        log.info("%s done in %.2f s", name, time.monotonic() - started)
        return result

    run.__name__ = run.__qualname__ = name
    run.__doc__ = function.__doc__
    run.__module__ = function.__module__
    run.typed = function  # type: ignore[attr-defined]  # for tests: the function under the boundary
    return run
