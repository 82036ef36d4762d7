"""What each kind of statement does, by its first word; the first word of anything else is refused."""

import re

from local.sqlserver import administration, changes, principals, procedures, tables, tokens
from local.sqlserver.altering import alter_table
from local.sqlserver.bulk import prepare_bulk
from local.sqlserver.clauses import Clauses
from local.sqlserver.context import Variable
from local.sqlserver.ddl import Ddl
from local.sqlserver.errors import (
    NotUnderstoodError,
    ReturnError,
    SqlError,
)
from local.sqlserver.session import Session, Verb
from local.sqlserver.sqltypes import INT


def _select(session: Session, text: str, variables: dict[str, Variable]) -> None:
    session.run(session.translate(changes.select, text, variables), variables)


def _with(session: Session, text: str, variables: dict[str, Variable]) -> None:
    if re.search(r"\b(INSERT|UPDATE|DELETE|MERGE)\b", text, re.IGNORECASE):
        raise NotUnderstoodError(text)
    _select(session, text, variables)


def _insert(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    if clauses.takes("INSERT", "BULK"):
        session.state.bulk = prepare_bulk(session, clauses)
        return
    session.run(session.translate(changes.insert, text, variables), variables)


def _update(session: Session, text: str, variables: dict[str, Variable]) -> None:
    if Clauses(text).takes("UPDATE", "STATISTICS"):
        administration.update_statistics(session, text)
        return
    session.run(session.translate(changes.update, text, variables), variables)


def _delete(session: Session, text: str, variables: dict[str, Variable]) -> None:
    session.run(session.translate(changes.delete, text, variables), variables)


def _set(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    clauses.expect("SET")
    if clauses.word() != "@":
        administration.set_option(session, clauses)
        return
    name = clauses.variable()
    clauses.expect("=")
    session.assign(name, clauses.rest(), variables)


def _declare(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    clauses.expect("DECLARE")
    while True:
        name = clauses.variable()
        clauses.takes("AS")
        if clauses.word() in ("TABLE", "CURSOR"):
            raise NotUnderstoodError(text)
        if name.lower() in variables:
            raise SqlError(134, f"The variable name '@{name}' has already been declared.", 15)
        variables[name.lower()] = Variable(clauses.data_type())
        if clauses.takes("="):
            session.assign(name, clauses.until(","), variables)
        if not clauses.takes(","):
            break
    clauses.end()


def _begin(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    clauses.expect("BEGIN")
    if not (clauses.takes("TRAN") or clauses.takes("TRANSACTION")):
        raise NotUnderstoodError(text)
    if not clauses.done:
        clauses.name()
    clauses.end()
    session.transaction.begin()


def _commit(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    clauses.expect("COMMIT")
    _ = clauses.takes("TRAN") or clauses.takes("TRANSACTION") or clauses.takes("WORK")
    if not clauses.done:
        clauses.name()
    clauses.end()
    session.transaction.commit()


def _rollback(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    clauses.expect("ROLLBACK")
    _ = clauses.takes("TRAN") or clauses.takes("TRANSACTION") or clauses.takes("WORK")
    name = "" if clauses.done else clauses.name()
    clauses.end()
    if session.state.trancount == 0:
        raise SqlError(3903, "The ROLLBACK TRANSACTION request has no corresponding BEGIN TRANSACTION.")
    if name.lower() in session.state.savepoints:
        session.store.script(f'ROLLBACK TO SAVEPOINT "save_{name.lower()}"')
        return
    session.transaction.roll_back()


def _save(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    clauses.expect("SAVE")
    _ = clauses.takes("TRAN") or clauses.takes("TRANSACTION")
    name = clauses.name().lower()
    clauses.end()
    if session.state.trancount == 0:
        raise SqlError(628, "Cannot issue SAVE TRANSACTION when there is no active transaction.")
    if not re.fullmatch(r"\w{1,32}", name):
        raise NotUnderstoodError(text)
    session.store.script(f'SAVEPOINT "save_{name}"')
    session.state.savepoints.append(name)


def _create(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    clauses.expect("CREATE")
    words = [clauses.word(ahead) for ahead in range(3)]
    if words[0] == "TABLE":
        session.change(tables.create_table(Ddl(session.context({}), text)))
    elif "INDEX" in words and words[0] in ("INDEX", "UNIQUE", "CLUSTERED", "NONCLUSTERED"):
        session.change(tables.create_index(Ddl(session.context({}), text)))
    elif "PROCEDURE" in words or "PROC" in words:
        administration.create_procedure(session, text)
    elif words[0] == "DATABASE":
        administration.create_database(session, clauses)
    elif words[0] == "USER":
        principals.create_user(session, clauses)
    else:
        raise NotUnderstoodError(text)


def _alter(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    clauses.expect("ALTER")
    if clauses.word() == "TABLE":
        session.change(alter_table(Ddl(session.context({}), text)))
    elif clauses.word() == "DATABASE":
        administration.alter_database(session, clauses)
    elif clauses.word() in ("PROCEDURE", "PROC"):
        administration.create_procedure(session, text)
    elif clauses.word() == "ROLE":
        principals.add_member(session, clauses)
    else:
        raise NotUnderstoodError(text)


def _grant(session: Session, text: str, variables: dict[str, Variable]) -> None:
    principals.grant(session, Clauses(text))


def _drop(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    clauses.expect("DROP")
    if clauses.word() == "TABLE":
        session.change(tables.drop_table(Ddl(session.context({}), text)))
    elif clauses.word() == "INDEX":
        session.change(tables.drop_index(Ddl(session.context({}), text)))
    elif clauses.word() in ("PROCEDURE", "PROC"):
        administration.drop_procedure(session, clauses)
    elif clauses.word() == "DATABASE":
        administration.drop_database(session, clauses)
    else:
        raise NotUnderstoodError(text)


def _truncate(session: Session, text: str, variables: dict[str, Variable]) -> None:
    session.change(tables.truncate_table(Ddl(session.context({}), text)))


def _execute(session: Session, text: str, variables: dict[str, Variable]) -> None:
    procedures.execute(session, text, variables)


def _return(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    clauses.expect("RETURN")
    if clauses.done:
        raise ReturnError(0)
    holder = {"return": Variable(INT), **variables}
    session.assign("return", clauses.rest(), holder)
    raise ReturnError(int(holder["return"].value or b"0"))


def _throw(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    clauses.expect("THROW")
    if clauses.done and session.state.caught:
        raise session.state.caught
    parts = [session.scalar(part, variables) for part in clauses.rest().split(",", 2)]
    if len(parts) != 3:
        raise NotUnderstoodError(text)
    raise SqlError(int(parts[0] or 0), (parts[1] or b"").decode(), 16, int(parts[2] or 1))


def _print(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    clauses.expect("PRINT")
    session.channel.write(tokens.information(0, (session.scalar(clauses.rest(), variables) or b"").decode()))


def _use(session: Session, text: str, variables: dict[str, Variable]) -> None:
    clauses = Clauses(text)
    clauses.expect("USE")
    name = clauses.name()
    clauses.end()
    if name.lower() != session.database.lower():
        raise NotUnderstoodError(f"USE of another database than the session's ({session.database})", text)


VERBS: dict[str, Verb] = {
    "SELECT": _select,
    "WITH": _with,
    "INSERT": _insert,
    "UPDATE": _update,
    "DELETE": _delete,
    "SET": _set,
    "DECLARE": _declare,
    "BEGIN": _begin,
    "COMMIT": _commit,
    "ROLLBACK": _rollback,
    "SAVE": _save,
    "CREATE": _create,
    "ALTER": _alter,
    "DROP": _drop,
    "GRANT": _grant,
    "TRUNCATE": _truncate,
    "EXEC": _execute,
    "EXECUTE": _execute,
    "RETURN": _return,
    "THROW": _throw,
    "PRINT": _print,
    "USE": _use,
}
