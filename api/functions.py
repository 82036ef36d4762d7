"""Binds a route of the table to Azure Functions' HTTP request and response."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace

import azure.durable_functions as df
import azure.functions as func

from api.http import GUARDS, Answer, Answered, Call, Route, problem
from shared.errors import MxferryError, Refusal

log = logging.getLogger("mxferry.api")

Trigger = Callable[[func.HttpRequest, df.DurableFunctionsClient], Awaitable[func.HttpResponse]]


def http_trigger(route: Route) -> Trigger:
    """Return the function that serves a route, under the route's name."""

    async def trigger(req: func.HttpRequest, client: df.DurableFunctionsClient) -> func.HttpResponse:
        call = Call(
            engine=client,
            params=dict(req.route_params),
            query=dict(req.params),
            headers={name.lower(): value for name, value in req.headers.items()},
            body=req.get_body(),
        )
        found = await served(route, call)
        return func.HttpResponse(
            found.body, status_code=found.status, mimetype=found.content_type, headers=dict(found.headers)
        )

    trigger.__name__ = trigger.__qualname__ = route.name
    trigger.__doc__ = route.summary
    return trigger


async def served(route: Route, call: Call) -> Answer:
    """Answer a call; what a handler did not foresee becomes a 503 or 500 without details, and a log line with them."""
    found = await _handled(route, call)
    return replace(found, headers={**GUARDS, **found.headers})


async def _handled(route: Route, call: Call) -> Answer:
    try:
        return await route.handler(call)
    except Answered as said:
        return said.answer
    except Refusal as error:
        log.warning("%s refused: %s", route.name, error)
        return problem(503, error.code, "The app is not ready to serve this request; its log says why.")
    except MxferryError as error:
        log.warning("%s: %s", route.name, error)
        return problem(503, error.code, "A service that the app needs did not answer. Try again.")
    except Exception:
        log.exception("%s failed", route.name)
        return problem(500, "INTERNAL_ERROR", "The request failed for a reason of ours; the app's log has it.")
