"""Reads the ODBC connection string with which a user names a SQL Server of their own."""

import re
from dataclasses import dataclass, field

PART = re.compile(r"\s*([^=;]+?)\s*=\s*(\{(?:[^}]|\}\})*\}|[^;]*)\s*(?:;|$)")
NAMES = {
    "server": "server",
    "address": "server",
    "addr": "server",
    "data source": "server",
    "database": "database",
    "initial catalog": "database",
    "uid": "user",
    "user id": "user",
    "user": "user",
    "pwd": "password",
    "password": "password",
    "encrypt": "encrypt",
    "trustservercertificate": "trust",
    "driver": "driver",
    "authentication": "authentication",
}
ENCRYPT = {
    "yes": "yes",
    "true": "yes",
    "mandatory": "yes",
    "strict": "strict",
    "no": "no",
    "false": "no",
    "optional": "no",
}


@dataclass(frozen=True)
class SqlTarget:
    """A SQL Server database; without a user the app's identity logs in."""

    server: str
    database: str
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    encrypt: str = "yes"
    trust: bool = False
    driver: str | None = None


def parse(text: str) -> SqlTarget:
    """Parse `Server=…;Database=…;UID=…;PWD=…`; ValueError says what is missing, and never repeats a value."""
    found: dict[str, str] = {}
    position = 0
    while position < len(text.rstrip("; ")):
        part = PART.match(text, position)
        if not part:
            raise ValueError(
                "expected `name=value` parts with `;` between them, such as Server=…;Database=…;UID=…;PWD=…"
            )
        name = NAMES.get(part[1].lower())
        if name is None:
            known = ", ".join(sorted(NAMES))
            raise ValueError(f"expected one of {known}; found the unknown name {part[1]!r}")
        value = part[2].strip()
        found[name] = value[1:-1].replace("}}", "}") if value.startswith("{") else value
        position = part.end()
    missing = [name for name in ("server", "database") if not found.get(name)]
    if missing:
        raise ValueError(f"expected Server and Database, found no {' and no '.join(missing)}")
    if ("user" in found) != ("password" in found):
        raise ValueError("expected UID and PWD together, or neither (then your Entra identity logs in)")
    encrypt = ENCRYPT.get(found.get("encrypt", "yes").lower())
    if encrypt is None:
        raise ValueError("expected Encrypt to be yes, no or strict")
    return SqlTarget(
        server=found["server"].removeprefix("tcp:"),
        database=found["database"],
        user=found.get("user"),
        password=found.get("password"),
        encrypt=encrypt,
        trust=found.get("trust", "no").lower() in ("yes", "true"),
        driver=found.get("driver"),
    )
