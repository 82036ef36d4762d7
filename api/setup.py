"""`POST /api/setup`: the set-up check, to be asked once after a deployment."""

import asyncio
from datetime import UTC, datetime
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from api.http import Answer, Call, answer, parsed
from shared.communication.trying import try_channels
from shared.errors import Finding
from shared.settings import settings
from shared.setup import check_databases
from shared.strict import Strict


class SetupRequest(Strict):
    """Body of `POST /api/setup`; an empty object will do."""

    administrators: Annotated[str, StringConstraints(min_length=1, max_length=63)] | None = Field(
        default=None,
        description="Name of the Entra group that administers the PostgreSQL servers, if the app's identity is in it.",
    )
    channels: bool = Field(default=False, description="Send a test message to every channel, too.")


class SetupView(BaseModel):
    """Answer of `POST /api/setup`."""

    ready: bool = Field(description="Whether the app can log in everywhere, as far as it could look.")
    findings: list[Finding] = Field(
        description="One for the temporary server, for every target profile, and for every channel that was tried."
    )


async def setup(call: Call) -> Answer:
    """Check the logins of all databases, and the channels if asked to; make the app's users where it may."""
    request = parsed(SetupRequest, call.body)
    found = await asyncio.to_thread(check_databases, settings(), request.administrators)
    if request.channels:
        found += await asyncio.to_thread(try_channels, settings().notify, datetime.now(UTC))
    return answer(SetupView(ready=all(one.severity != "error" for one in found), findings=found))
