"""Connections to SQL Server and Azure SQL through pyodbc and Microsoft's ODBC driver 18.

One connection is one session: pooling is off, because a pooled session would keep session locks, `SET` options and
temporary tables of an earlier activity.
"""

import functools
import platform
import re
import struct
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pyodbc

from shared.credentials import Identity, token
from shared.errors import Refusal
from shared.settings import SqlServer, settings
from shared.sqlserver.errors import classified

DRIVER = "ODBC Driver 18 for SQL Server"
PROGRAM = "mxferry"
TOKEN_SCOPE = "https://database.windows.net/.default"  # noqa: S105 - a scope, not a secret
LOGIN_TIMEOUT = 30
QUERY_TIMEOUT = 300
# Connection attribute of msodbcsql.h: https://learn.microsoft.com/sql/connect/odbc/using-azure-active-directory
SQL_COPT_SS_ACCESS_TOKEN = 1256

pyodbc.pooling = False


def connect(
    profile: SqlServer,
    *,
    credential: Identity | None = None,
    autocommit: bool = True,
    timeout: int = QUERY_TIMEOUT,
    login_timeout: int = LOGIN_TIMEOUT,
) -> pyodbc.Connection:
    """Open a session on the profile's database; `timeout` and `login_timeout` are seconds a statement and a login.

    Without a password in the profile the login is an Entra token of `credential`, or of the app's own identity.
    Raises TransientError SQL_TRANSIENT, Refusal SQL_LOGIN_FAILED or SQL_REFUSED about `server/database`.
    """
    attributes: dict[int, bytes] = {}
    if profile.password is None:
        attributes[SQL_COPT_SS_ACCESS_TOKEN] = token_struct(access_token(credential))
    with translated(f"{profile.server}/{profile.database}"):
        connection = pyodbc.connect(
            connection_string(profile), autocommit=autocommit, timeout=login_timeout, attrs_before=attributes
        )
        connection.timeout = timeout
    return connection


@contextmanager
def session(
    profile: SqlServer,
    *,
    credential: Identity | None = None,
    autocommit: bool = True,
    timeout: int = QUERY_TIMEOUT,
    login_timeout: int = LOGIN_TIMEOUT,
) -> Generator[pyodbc.Connection]:
    """Open a session, close it at the end, and translate what the driver raises in between."""
    connection = connect(
        profile, credential=credential, autocommit=autocommit, timeout=timeout, login_timeout=login_timeout
    )
    try:
        with translated(f"{profile.server}/{profile.database}"):
            yield connection
    finally:
        connection.close()


@contextmanager
def translated(about: str) -> Generator[None]:
    """Turn a driver's exception into TransientError or Refusal about the given object."""
    try:
        yield
    except pyodbc.Error as error:
        raise classified(error, about) from None


def quote(name: str) -> str:
    """Return an identifier in brackets; Refusal SQL_BAD_NAME when SQL Server could not hold it (1 to 128 characters)."""
    units = len(name.encode("utf-16-le")) // 2
    if not 1 <= units <= 128 or "\0" in name:
        raise Refusal(
            "SQL_BAD_NAME",
            name[:160],
            f"expected a name of 1 to 128 characters, found {units}.",
            "Shorten the name in the Mendix model, deploy, and take a new snapshot.",
        )
    return f"[{name.replace(']', ']]')}]"


def table_name(table: str) -> str:
    """Return a table of schema dbo, quoted: `[dbo].[module$entity]`."""
    return f"[dbo].{quote(table)}"


def literal(text: str) -> str:
    """Return a Unicode string literal for statements that take no parameters."""
    return "N'" + text.replace("'", "''") + "'"


def connection_string(profile: SqlServer) -> str:
    """Return the ODBC connection string of a profile (with its password, so never to be logged)."""
    parts = {
        "DRIVER": driver(),
        "SERVER": _braced(profile.server),
        "DATABASE": _braced(profile.database),
        "Encrypt": profile.encrypt,
        "TrustServerCertificate": "yes" if profile.trust_server_certificate else "no",
        "APP": PROGRAM,
        # A silently re-established session would have lost its application lock and its SET options.
        "ConnectRetryCount": "0",
    }
    if profile.password is not None:
        parts["UID"] = _braced(profile.user or "")
        parts["PWD"] = _braced(profile.password.get_secret_value())
    return ";".join(f"{key}={value}" for key, value in parts.items())


def access_token(credential: Identity | None = None) -> str:
    """Return an Entra token for Azure SQL, of `credential` or of the app's identity."""
    return token(TOKEN_SCOPE, credential)


def token_struct(token: str) -> bytes:
    """Return a token as the driver wants it: length in bytes (little endian, 4 bytes), then UTF-16-LE."""
    encoded = token.encode("utf-16-le")
    return struct.pack("<I", len(encoded)) + encoded


@functools.cache
def driver() -> str:
    """Return the DRIVER value: from the settings, else an installed driver 18, else the one in mssql-python's wheel."""
    wanted = _wanted_driver()
    if wanted is not None:
        return wanted if wanted.startswith("/") else _braced(wanted)
    if DRIVER in pyodbc.drivers():
        return _braced(DRIVER)
    return str(_wheel_driver())


def _wanted_driver() -> str | None:
    try:
        return settings().sql_odbc_driver
    except Refusal:
        # The library is also used where no app runs (benchmarks, single tests): then nothing is wanted.
        return None


def _wheel_driver() -> Path:
    import mssql_python_odbc

    machine = {"aarch64": "arm64", "amd64": "x86_64"}.get(platform.machine().lower(), platform.machine().lower())
    libraries = Path(mssql_python_odbc.get_libs_dir())
    if platform.system() == "Darwin":
        found = sorted(libraries.glob(f"macos/{machine}/lib/libmsodbcsql*.dylib"))
    else:
        found = sorted(libraries.glob(f"linux/{_distribution()}/{machine}/lib/libmsodbcsql-18*.so*"))
    if not found:
        raise Refusal(
            "SQL_NO_DRIVER",
            DRIVER,
            f"expected the driver in odbcinst.ini or in the wheel mssql-python-odbc, found none for {machine}.",
            "Install msodbcsql18, or set SQL_ODBC_DRIVER to its name or path.",
        )
    return found[-1]


def _distribution() -> str:
    """Name the wheel's folder for this Linux, as mssql-python's own loader does."""
    signs = {"alpine": "/etc/alpine-release", "rhel": "/etc/redhat-release", "suse": "/etc/SUSE-brand"}
    return next((name for name, sign in signs.items() if Path(sign).exists()), "debian_ubuntu")


def _braced(value: str) -> str:
    if re.fullmatch(r"[\w.,:\\-]+", value):
        return value
    return "{" + value.replace("}", "}}") + "}"
