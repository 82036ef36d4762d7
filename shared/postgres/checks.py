"""Preflight of the PostgreSQL server that holds the temporary database."""

from shared.azure.users import with_postgres_user
from shared.errors import Finding, Refusal
from shared.postgres.connection import QUESTION_SECONDS, connect
from shared.settings import Postgres

OLDEST = 13  # gen_random_uuid(), DROP DATABASE … WITH (FORCE); older servers are out of support anyway


def check_server(server: Postgres) -> list[Finding]:
    """Return what keeps us from making a temporary database there.

    Raises `TransientError` while the server does not answer, such as in its first seconds.
    """
    where = f"{server.host}:{server.port}"
    try:
        with connect(
            server, autocommit=True, application_name="mxferry preflight", statement_timeout=QUESTION_SECONDS
        ) as connection:
            version = connection.info.server_version
            row = connection.execute(
                "SELECT rolcreatedb OR rolsuper, pg_is_in_recovery() FROM pg_roles WHERE rolname = current_user"
            ).fetchone()
    except Refusal as error:
        return [with_postgres_user(error.finding(), server)]
    may_create, standby = row or (False, False)
    findings = []
    if version < OLDEST * 10000:
        findings.append(
            Finding.error(
                "TEMP_SERVER_OLD",
                where,
                f"expected PostgreSQL {OLDEST} or newer, found {version // 10000}.",
                "Upgrade the temporary PostgreSQL server; it must also be at least as new as the source's.",
            )
        )
    if not may_create:
        findings.append(
            Finding.error(
                "TEMP_SERVER_RIGHTS",
                where,
                f"expected the right to create databases, found that {server.user} has it not.",
                f'Run ALTER ROLE "{server.user}" CREATEDB.',
            )
        )
    if standby:
        findings.append(
            Finding.error("TEMP_SERVER_STANDBY", where, "expected a primary, found a read replica.", "Use the primary.")
        )
    return findings
