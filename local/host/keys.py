"""The host's keys: a function key and an admin (master) key, each in a file that only its owner can read."""

import hmac
import os
import secrets
from pathlib import Path


class Keys:
    """Who may call what. Keys never appear in a log, an answer or the process's arguments unless given there."""

    def __init__(self, folder: Path, function_key: str | None = None) -> None:
        self.function_key_file = folder / "function.key"
        self.admin_key_file = folder / "admin.key"
        self._function = _key(self.function_key_file, function_key)
        self._admin = _key(self.admin_key_file, None)

    def allow(self, level: str, presented: str) -> bool:
        """Whether a key opens an auth level; the admin key opens all. Compared in constant time."""
        if level.lower() == "anonymous":
            return True
        is_admin = hmac.compare_digest(presented.encode(), self._admin.encode())
        is_function = hmac.compare_digest(presented.encode(), self._function.encode())
        return is_admin or (is_function and level.lower() == "function")


def _key(path: Path, given: str | None) -> str:
    """Return the key in a file; a given key replaces it, a missing one is made."""
    if given is None and path.exists():
        path.chmod(0o600)
        return path.read_text().strip()
    key = given or secrets.token_urlsafe(32)
    draft = path.with_suffix(".new")
    draft.unlink(missing_ok=True)
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(file, "w") as stream:
        stream.write(key + "\n")
    draft.replace(path)
    return key
