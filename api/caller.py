"""Who calls: the user that App Service authentication has signed in, if it stands before the app.

The platform puts the user's name into request headers, and takes these headers out of requests that come from outside
(https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities). Without the feature nobody does,
so they are believed only where `WEBSITE_AUTH_ENABLED` says that it is on; the platform sets that variable itself
(https://learn.microsoft.com/azure/app-service/reference-app-settings).
"""

import base64
import json
import os
from typing import Any

from api.http import Call

LONGEST = 200


def authenticated() -> bool:
    """Whether App Service authentication stands before the app."""
    return os.environ.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"


def name(call: Call) -> str | None:
    """Return the signed-in caller's name; None where nobody is signed in."""
    if not authenticated():
        return None
    said = call.headers.get("x-ms-client-principal-name") or _claimed(call.headers.get("x-ms-client-principal", ""))
    return said.strip()[:LONGEST] or None


def _claimed(principal: str) -> str:
    """Return the name claim of the client principal, base64 of `{"name_typ": …, "claims": [{"typ": …, "val": …}]}`."""
    try:
        found: dict[str, Any] = json.loads(base64.b64decode(principal))
        return next(str(one["val"]) for one in found["claims"] if one["typ"] == found["name_typ"])
    except (ValueError, LookupError, TypeError, StopIteration):
        return ""
