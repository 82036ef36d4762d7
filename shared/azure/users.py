"""The statements that make a database user for the app's identity, for an administrator to run."""

from shared.errors import Finding
from shared.settings import Postgres

# libpq gives no SQLSTATE for a connection that never came to be.
UNKNOWN_USER = ("password authentication failed", "does not exist")


def postgres_user(name: str) -> str:
    """Return what an Entra administrator runs in database `postgres` of a flexible server.

    https://learn.microsoft.com/azure/postgresql/flexible-server/security-manage-entra-users
    """
    literal = name.replace("'", "''")
    quoted = name.replace('"', '""')
    return f"SELECT * FROM pgaadauth_create_principal('{literal}', false, false); ALTER ROLE \"{quoted}\" CREATEDB;"  # noqa: S608 - text for a person to read


def with_postgres_user(finding: Finding, server: Postgres) -> Finding:
    """Give a refused login by Entra token the remedy that makes the user; leave every other finding as it is."""
    unknown = any(words in finding.message for words in UNKNOWN_USER)
    if finding.code != "POSTGRES_LOGIN" or server.password is not None or not unknown:
        return finding
    remedy = f"As an Entra administrator of {server.host}, in database postgres: {postgres_user(server.user)}"
    return finding.model_copy(update={"remedy": remedy})
