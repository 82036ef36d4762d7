"""Every trigger of the app, registered by plain calls; no logic.

The decorators are called as functions, so that the orchestrators and activities stay plain functions, importable and
callable by name on either host.
"""

import logging

import azure.durable_functions as df
import azure.functions as func

from activities.registry import ACTIVITIES
from api.functions import http_trigger
from api.rehearsals import start_rehearsal
from api.routes import ROUTES
from api.sweep import sweep_leftovers
from api.telling import tell
from orchestrators.registry import ORCHESTRATORS
from shared import redaction

redaction.install()
# The SDKs log every request with its headers at INFO; ours are the lines an operator reads.
logging.getLogger("azure").setLevel(logging.WARNING)
logging.getLogger("httpx").setLevel(logging.WARNING)

app = df.DFApp(http_auth_level=func.AuthLevel.FUNCTION)

for orchestrator in ORCHESTRATORS:
    app.orchestration_trigger(context_name="context")(orchestrator)

for activity in ACTIVITIES:
    app.activity_trigger(input_name="payload")(activity)

for route in ROUTES:
    level = func.AuthLevel.ANONYMOUS if route.auth == "anonymous" else func.AuthLevel.FUNCTION
    trigger = app.durable_client_input(client_name="client")(http_trigger(route))
    app.route(route=route.path, methods=[route.method], auth_level=level)(trigger)


@app.timer_trigger(schedule="%REHEARSAL_SCHEDULE%", arg_name="timer", run_on_startup=False)
@app.durable_client_input(client_name="client")
async def rehearse(timer: func.TimerRequest, client: df.DurableFunctionsClient) -> None:
    """Start a rehearsal from the settings; does nothing unless REHEARSAL__ENABLED is true."""
    await start_rehearsal(client, past_due=timer.past_due)


@app.timer_trigger(schedule="0 17 * * * *", arg_name="timer", run_on_startup=False)
@app.durable_client_input(client_name="client")
async def sweep(timer: func.TimerRequest, client: df.DurableFunctionsClient) -> None:
    """Delete, every hour, what runs that are over left in staging and on the temporary PostgreSQL server."""
    del timer
    await sweep_leftovers(client)


@app.timer_trigger(schedule="%TELL_SCHEDULE%", arg_name="timer", run_on_startup=False)
@app.durable_client_input(client_name="client")
async def tell_channels(timer: func.TimerRequest, client: df.DurableFunctionsClient) -> None:
    """Tell the channels of the settings what has happened in runs, every minute unless TELL_SCHEDULE says otherwise."""
    del timer
    await tell(client)
