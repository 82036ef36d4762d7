"""Who calls: the user that App Service authentication has signed in, if it stands before the app.

The platform puts the user's name into request headers, and takes these headers out of requests that come from outside
(https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities). Without the feature nobody does,
so they are believed only where `WEBSITE_AUTH_ENABLED` says that it is on; the platform sets that variable itself
(https://learn.microsoft.com/azure/app-service/reference-app-settings).
"""

import base64
import json
import os
from dataclasses import dataclass
from typing import Any

from api.http import Answered, Call, problem

LONGEST = 200
NAME, ID, PRINCIPAL = "x-ms-client-principal-name", "x-ms-client-principal-id", "x-ms-client-principal"
NAMELESS = "a signed-in caller without a name"


@dataclass(frozen=True)
class Name:
    """A person's name, and whether the platform vouches for it."""

    by: str
    signed_in: bool


def authenticated() -> bool:
    """Whether App Service authentication stands before the app."""
    return os.environ.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"


def name(call: Call) -> str | None:
    """Return the signed-in caller's name, else the principal's id (an app has no name); None where nobody is signed in."""
    if not authenticated() or not any(call.headers.get(one) for one in (NAME, ID, PRINCIPAL)):
        return None
    said = call.headers.get(NAME) or _claimed(call.headers.get(PRINCIPAL, "")) or call.headers.get(ID) or ""
    return said.strip()[:LONGEST] or NAMELESS


def named(call: Call, stated: str | None) -> Name:
    """Return whose name a decision carries: the signed-in caller's, whatever is stated; else the stated one.

    A decision of nobody is answered by a 400.
    """
    known = name(call)
    if known is not None:
        return Name(known, signed_in=True)
    if stated is not None:
        return Name(stated, signed_in=False)
    said = "expected the name of who decides, found none, and nobody is signed in"
    raise Answered(problem(
        400, "INVALID_REQUEST", f"by: {said}.", errors=[{"field": "by", "message": said}],
        remedy='Say `"by": "…"`; the name goes into the report.',
    ))  # fmt: skip


def _claimed(principal: str) -> str:
    """Return the name claim of the client principal, base64 of `{"name_typ": …, "claims": [{"typ": …, "val": …}]}`."""
    try:
        found: dict[str, Any] = json.loads(base64.b64decode(principal))
        return next(str(one["val"]) for one in found["claims"] if one["typ"] == found["name_typ"])
    except (ValueError, LookupError, TypeError, StopIteration):
        return ""
