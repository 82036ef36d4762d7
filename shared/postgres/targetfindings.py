"""What the dump and a PostgreSQL target mean for each other: versions, extensions, options without effect."""

import re
from dataclasses import dataclass
from typing import Any

import psycopg

from shared.errors import Finding
from shared.mendix.remedies import parted
from shared.postgres import targetcatalogue
from shared.postgres.targetplan import extensions_of
from shared.request import Options
from shared.sessions import IN_USE
from shared.snapshot.dump import Dump


@dataclass(frozen=True)
class Fit:
    """What was found; `offered` are the dump's extensions that the target has or offers, `wanted` those to make."""

    findings: list[Finding]
    offered: list[str]
    wanted: list[str]
    in_the_way: list[str]


def fit(connection: psycopg.Connection[Any], where: str, dump: Dump, options: Options) -> Fit:
    """Look at the target with the dump in hand."""
    needed = extensions_of(dump)
    installed, available = targetcatalogue.extensions(connection)
    findings = [
        *_versions(connection.info.server_version // 10000, where, dump),
        *(finding for name, users in needed.items() if name not in available for finding in _missing(name, users)),
        *_without_effect(options),
    ]
    offered = [name for name in needed if name in available]
    wanted = [name for name in offered if name not in installed]
    return Fit(findings, offered, wanted, [one.name for one in targetcatalogue.in_the_way(connection)])


def _versions(major: int, where: str, dump: Dump) -> list[Finding]:
    if major < dump.server_major:
        message = f"expected PostgreSQL {dump.server_major} or newer, as the source is, found {major}."
        return [Finding.error("TARGET_OLDER", where, message, "Upgrade the target server, or use a newer one.")]
    digits = re.match(r"[0-9]+", dump.dump_version)
    writer = int(digits[0]) if digits else 0
    if major < writer:
        message = f"the dump was written by pg_dump {writer}, whose statements PostgreSQL {major} may not all know."
        remedy = "If a statement is refused: upgrade the target server."
        return [Finding.warning("TARGET_OLDER_THAN_DUMP", where, message, remedy)]
    return []


def _missing(name: str, users: list[str]) -> list[Finding]:
    remedy = f"Add {name} to the server parameter azure.extensions (or install it), and start again."
    if users:
        message = f"expected the extension, which {len(users)} objects of the dump need, found it not available."
        return [Finding.error("EXTENSION_MISSING", name, message, remedy, count=len(users), examples=users[:10])]
    message = "the source has this extension, the target does not offer it; nothing of the dump says that it needs it."
    return [Finding.warning("EXTENSION_LEFT_OUT", name, message, remedy)]


def _without_effect(options: Options) -> list[Finding]:
    given = {
        "collation": options.collation is not None,
        "remedies": bool(parted(options.remedies, {IN_USE})[1]),
        "max_rejects": options.max_rejects > 0,
    }
    message = "the option is for SQL Server targets; PostgreSQL takes the rows as they are."
    return [
        Finding.warning("OPTION_WITHOUT_EFFECT", f"options.{name}", message, "Take it out of the request.")
        for name, there in given.items()
        if there
    ]
