"""The statements that make a PostgreSQL role for the app's identity, for an administrator to run."""

from shared.errors import Finding
from shared.settings import Postgres, TargetPostgres

# libpq gives no SQLSTATE for a connection that never came to be.
UNKNOWN_USER = ("password authentication failed", "does not exist")


def postgres_user(server: Postgres) -> str:
    """Return where an Entra administrator of a flexible server runs what, for the login that the settings name.

    https://learn.microsoft.com/azure/postgresql/flexible-server/security-manage-entra-users
    """
    literal = server.user.replace("'", "''")
    role = _quoted(server.user)
    made = f"in database postgres: SELECT * FROM pgaadauth_create_principal('{literal}', false, false);"  # noqa: S608 - text for a person to read
    if not isinstance(server, TargetPostgres):
        return f"{made} ALTER ROLE {role} CREATEDB;"
    database = _quoted(server.database)
    return (
        f"{made} In database {server.database}: GRANT CREATE ON DATABASE {database} TO {role}; "
        f"GRANT CREATE, USAGE ON SCHEMA public TO {role};"
    )


def with_postgres_user(finding: Finding, server: Postgres) -> Finding:
    """Give a refused login by Entra token the remedy that makes the user; leave every other finding as it is."""
    unknown = any(words in finding.message for words in UNKNOWN_USER)
    if finding.code != "POSTGRES_LOGIN" or server.password is not None or not unknown:
        return finding
    remedy = f"As an Entra administrator of {server.host}, {postgres_user(server)}"
    return finding.model_copy(update={"remedy": remedy})


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
