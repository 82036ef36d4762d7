"""Preflight on a PostgreSQL target: reachable, fit, allowed, empty, unused. Reads only."""

from collections import Counter
from typing import Any

import psycopg

from shared import sessions
from shared.azure.users import with_postgres_user
from shared.errors import Details, Finding, Refusal
from shared.postgres import targetcatalogue
from shared.postgres.checks import OLDEST
from shared.postgres.connection import QUESTION_SECONDS, connect
from shared.postgres.targetcatalogue import KINDS, Relation, State
from shared.settings import TargetPostgres, TargetProfile

DROP = 'Use an empty database, or say `"target_not_empty": "drop"` with the profile\'s name in `"confirm"`.'


def check_target(profile: TargetProfile) -> list[Finding]:
    """Return everything that is wrong or noteworthy about a profile's database; all findings at once.

    Raises `TransientError` while the server does not answer, such as at its start.
    """
    server = profile.postgres
    if server is None:
        return [
            Finding.error("TARGET_KIND", "target profile", "expected a PostgreSQL target, found a profile without one.")
        ]
    where = f"{server.host}/{server.database}"
    try:
        with connect(
            server, autocommit=True, application_name="mxferry preflight", statement_timeout=QUESTION_SECONDS
        ) as connection:
            return checked(connection, where)
    except Refusal as error:
        return [_unreachable(where, with_postgres_user(error.finding(), server))]


def checked(connection: psycopg.Connection[Any], where: str) -> list[Finding]:
    """Return the findings about the database that the connection is on."""
    state = targetcatalogue.state(connection)
    relations = targetcatalogue.in_the_way(connection)
    return [
        *_version(connection, where),
        *_fit(state, where),
        *_rights(state, where),
        *_empty(relations, where),
        *_in_use(connection, where),
    ]


def in_use(server: TargetPostgres) -> list[Finding]:
    """Return who else is on the database, as TARGET_IN_USE; empty when nobody is."""
    with connect(
        server, autocommit=True, application_name="mxferry preflight", statement_timeout=QUESTION_SECONDS
    ) as connection:
        return _in_use(connection, f"{server.host}/{server.database}")


def in_the_way_words(relations: list[Relation]) -> str:
    """Say how many of what kind, such as `3 tables, 1 sequence`."""
    kinds = Counter(KINDS[one.kind] for one in relations)
    return ", ".join(f"{number} {kind}{'s' if number > 1 else ''}" for kind, number in kinds.items())


def _version(connection: psycopg.Connection[Any], where: str) -> list[Finding]:
    major = connection.info.server_version // 10000
    if major >= OLDEST:
        return []
    message = f"expected PostgreSQL {OLDEST} or newer, found {major}."
    return [Finding.error("TARGET_TOO_OLD", where, message, "Use a newer server, at least as new as the source's.")]


def _fit(state: State, where: str) -> list[Finding]:
    found = []
    if state.encoding != "UTF8":
        message = f"expected a database in the encoding UTF8, found {state.encoding}."
        remedy = "Make the database anew: CREATE DATABASE … TEMPLATE template0 ENCODING 'UTF8'."
        found.append(Finding.error("TARGET_ENCODING", where, message, remedy))
    if state.standby:
        found.append(
            Finding.error("TARGET_STANDBY", where, "expected a primary, found a read replica.", "Use the primary.")
        )
    message = f"the database sorts text by {state.collation}; the app sorts as the database does."
    found.append(Finding.info("TARGET_COLLATION", where, message))
    message = f"everything made there will belong to {state.user}; a Mendix runtime has to own its tables."
    remedy = "Let the runtime log in as that role, or name its role in TARGET__<NAME>__POSTGRES__OWNER."
    found.append(Finding.info("TARGET_OWNER", where, message, remedy))
    return found


def _rights(state: State, where: str) -> list[Finding]:
    if state.superuser:
        message = (
            "expected a login with the rights that are needed, found a superuser: as which the dump's SQL is executed."
        )
        remedy = "Use a login of its own, with the rights that docs/postgres.md names."
        return [Finding.warning("TARGET_SUPERUSER", where, message, remedy)]
    database = where.rpartition("/")[2]
    rights = {
        f'GRANT CREATE ON DATABASE "{database}" TO "{state.user}"': state.may_create_schema,
        f'GRANT CREATE, USAGE ON SCHEMA public TO "{state.user}"': state.may_create_in_public,
    }
    missing = [grant for grant, given in rights.items() if not given]
    if not missing:
        return []
    message = f"expected {state.user} to be allowed to make schemas and tables, found {len(missing)} rights missing."
    remedy = f"In that database, as its administrator: {'; '.join(missing)};"
    return [Finding.error("TARGET_NO_RIGHT", where, message, remedy)]


def _empty(relations: list[Relation], where: str) -> list[Finding]:
    if not relations:
        return []
    message = f"expected an empty schema public, found {in_the_way_words(relations)}."
    names = [one.name for one in relations]
    found = [Finding.error("TARGET_NOT_EMPTY", where, message, DROP, count=len(names), examples=names[:10])]
    foreign = [one.name for one in relations if not one.ours]
    if foreign:
        message = f"expected to own what lies in schema public, found {len(foreign)} objects of other roles."
        remedy = "Should it be dropped: drop it as its owner, or make our login a member of that role."
        more = Details(count=len(foreign), examples=foreign[:10])
        found.append(Finding.warning("TARGET_NOT_OURS", where, message, remedy, **more))
    return found


def _in_use(connection: psycopg.Connection[Any], where: str) -> list[Finding]:
    others = targetcatalogue.sessions(connection)
    seen = [f"{one.count} × {one.program} as {one.login}" for one in others]
    return sessions.in_use(where, sum(one.count for one in others), seen)


def _unreachable(where: str, finding: Finding) -> Finding:
    remedy = finding.remedy or "Check the server's name, its firewall and private endpoints, and that it is running."
    message = f"{finding.message} [{finding.code}]"
    return Finding.error("TARGET_UNREACHABLE", where, message, remedy)
