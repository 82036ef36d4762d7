"""Database users: CREATE USER … FROM EXTERNAL PROVIDER, GRANT of rights on the database, and what a user may do.

The login that the stand-in was started with, and a token that names nobody, is `dbo`. A token whose claim `mxf_user` names
somebody is that user, who has to be in the database, as in Azure SQL. Rights are told by HAS_PERMS_BY_NAME and asked for
by CREATE USER and GRANT; other statements do not ask.
"""

import base64
import json

from local.sqlserver.clauses import Clauses
from local.sqlserver.errors import NotUnderstoodError, SqlError
from local.sqlserver.session import Session
from local.sqlserver.store import Store, text

DBO = "dbo"
ROLES = {"DB_OWNER": "control", "DB_DATAREADER": "select"}


def user_of(token: str | None) -> str:
    """The database user that a login is: `dbo`, or the one that the token's claim names."""
    parts = (token or "").split(".")
    if len(parts) != 3:
        return DBO
    try:
        claims = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except ValueError:
        return DBO
    return str(claims.get("mxf_user") or DBO)


def check_user(store: Store, user: str) -> None:
    """Refuse a login of somebody who is no user of the database (18456, as Azure SQL says it)."""
    if user != DBO and not _known(store, user):
        raise SqlError(18456, "Login failed for user '<token-identified principal>'.", 14)


def create_user(session: Session, clauses: Clauses) -> None:
    """CREATE USER name FROM EXTERNAL PROVIDER | WITH SID = 0x…, TYPE = E."""
    clauses.expect("USER")
    name = clauses.name()
    by_directory = clauses.takes("FROM", "EXTERNAL", "PROVIDER")
    if not by_directory:
        clauses.expect("WITH", "SID", "=")
        if not clauses.rest().replace(" ", "").upper().endswith(",TYPE=E"):
            raise NotUnderstoodError(clauses.statement)
    clauses.end()
    _refuse_without_right(session, "alter any user")
    if _known(session.store, name) or name.lower() == DBO:
        raise SqlError(15023, f"User, group, or role '{name}' already exists in the current database.")
    statement = "INSERT INTO mssql.principals (name) VALUES ($1)"
    session.guarded(lambda: session.store.execute(statement, [text(name)]))


def grant(session: Session, clauses: Clauses) -> None:
    """GRANT right [, …] TO name: rights on the database."""
    clauses.expect("GRANT")
    rights, word = [], ""
    while not clauses.takes("TO"):
        if clauses.takes(","):
            rights.append(word)
            word = ""
        else:
            word = f"{word} {clauses.name().lower()}".strip()
    name = clauses.name()
    clauses.end()
    _refuse_without_right(session, "control")
    _give(session, name, [*rights, word])


def add_member(session: Session, clauses: Clauses) -> None:
    """ALTER ROLE role ADD MEMBER name."""
    clauses.expect("ROLE")
    role = clauses.name().upper()
    clauses.expect("ADD", "MEMBER")
    name = clauses.name()
    clauses.end()
    if role not in ROLES:
        raise NotUnderstoodError(clauses.statement)
    _refuse_without_right(session, "control")
    _give(session, name, [ROLES[role]])


def _give(session: Session, name: str, rights: list[str]) -> None:
    if not _known(session.store, name):
        raise SqlError(
            15151, f"Cannot find the user '{name}', because it does not exist or you do not have permission."
        )
    statement = "INSERT INTO mssql.rights (name, given) SELECT lower($1), $2 ON CONFLICT DO NOTHING"

    def store() -> None:
        for right in rights:
            session.store.execute(statement, [text(name), text(right)])

    session.guarded(store)


def _known(store: Store, name: str) -> bool:
    return bool(store.rows("SELECT 1 FROM mssql.principals WHERE lower(name) = lower($1)", [text(name)]))


def _refuse_without_right(session: Session, right: str) -> None:
    user = session.told["user"]
    if user == DBO:
        return
    asked = "SELECT 1 WHERE mssql.may($1, $2)"
    if not session.store.rows(asked, [text(user), text(right)]):
        raise SqlError(15247, "User does not have permission to perform this action.")
