"""`GET /api/health`: is the app up, and are its settings complete? Says nothing that helps a stranger."""

from pydantic import BaseModel

from api.http import Answer, Call, answer
from shared.errors import Refusal
from shared.settings import settings
from shared.version import VERSION


class Health(BaseModel):
    """Answer of the health check."""

    status: str
    version: str


async def health(call: Call) -> Answer:
    """Answer 200 when the app can work, 503 when its settings are incomplete (the log says which)."""
    del call
    try:
        settings()
    except Refusal:
        return answer(Health(status="settings incomplete", version=VERSION), 503)
    return answer(Health(status="ok", version=VERSION))
