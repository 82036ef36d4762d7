"""The key of a run's masks: drawn from the setting MASK_SECRET, and in no plan, script, history or report.

A mask is an HMAC of the value (RFC 2104, with SHA-256). With a public key anybody could try names and addresses until one
gives the mask; without the key nobody can. Equal values have equal masks within a run, so it is a pseudonym and not
anonymous: https://gdpr-info.eu/art-4-gdpr/ (5).
"""

import hashlib
import hmac

from shared.errors import Finding, Refusal
from shared.request import MigrationRequest
from shared.settings import settings

INNER, OUTER = "mxferry.mask_inner", "mxferry.mask_outer"
"""Settings of a PostgreSQL session that hold the two halves of the key, in hexadecimal: no expression holds either."""
BLOCK = 64  # bytes of a block of SHA-256


def key_of(name: str) -> bytes:
    """Return the key of one run's masks, by a name that it has alone; Refusal MASK_SECRET_MISSING without the setting."""
    secret = settings().mask_secret
    if secret is None:
        raise _missing()
    return hmac.digest(secret.get_secret_value().encode(), name.encode(), hashlib.sha256)


def session_settings(key: bytes) -> dict[str, str]:
    """Return what a session on the source must have for the masks' expressions, which fail without it."""
    padded = key.ljust(BLOCK, b"\0")
    return {INNER: bytes(one ^ 0x36 for one in padded).hex(), OUTER: bytes(one ^ 0x5C for one in padded).hex()}


def of_database(database: str, request: MigrationRequest) -> dict[str, str]:
    """Return the session settings for a run's temporary database; none where the run masks nothing."""
    return session_settings(key_of(database)) if request.options.masks else {}


def of_dump(run: str, request: MigrationRequest) -> bytes:
    """Return the key for a dump that is masked on its way; empty where the run masks nothing."""
    return key_of(run) if request.options.masks else b""


def check(request: MigrationRequest) -> list[Finding]:
    """Find masks that have no key."""
    return [_missing().finding()] if request.options.masks and settings().mask_secret is None else []


def _missing() -> Refusal:
    return Refusal(
        "MASK_SECRET_MISSING", "MASK_SECRET",
        "expected the setting from which the key of the masks is drawn, found none.",
        "Set MASK_SECRET to a long random text (`openssl rand -base64 32`), best as a reference to a Key Vault; infra/ does.",
    )  # fmt: skip
