"""`GET /api/profiles`: the names a request may use. Names and kinds only; no address, no user, no secret."""

from typing import Literal

from pydantic import BaseModel, Field

from api import caller
from api.http import Answer, Call, answer, with_etag
from shared.settings import settings


class TargetName(BaseModel):
    """A target profile."""

    name: str
    kind: Literal["sqlserver", "postgres"]
    throw_away: bool = Field(description="Whether rehearsals may drop what it holds without asking.")


class SourceName(BaseModel):
    """A source profile, and what it can give."""

    name: str
    blob: bool
    mendix_cloud: bool


class Profiles(BaseModel):
    """Answer of `GET /api/profiles`."""

    targets: list[TargetName]
    sources: list[SourceName]
    signed_in_as: str | None = Field(default=None, description="The caller's name, behind App Service authentication.")


async def index(call: Call) -> Answer:
    """Return the profiles of the settings."""
    found = settings()
    targets = [
        TargetName(name=_name(name), kind=one.kind, throw_away=one.throw_away)
        for name, one in sorted(found.target.items())
    ]
    sources = [
        SourceName(name=_name(name), blob=one.blob is not None, mendix_cloud=one.mendix_cloud is not None)
        for name, one in sorted(found.source.items())
    ]
    return with_etag(call, answer(Profiles(targets=targets, sources=sources, signed_in_as=caller.name(call))))


def _name(setting: str) -> str:
    """Return a profile's name as requests write it: a setting's name has underscores where a request has hyphens."""
    return setting.replace("_", "-")
