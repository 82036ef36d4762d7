"""The SQL in a dump's table of contents: let through where it is what pg_dump writes for its entry, else refused by name.

A backup is input, and its statements are executed. So every statement of an entry has to be of a form that `pg_dump.c`
writes for that kind of entry, about the entry's own object or a table of the dump. Statements are told apart by the
server's lexical rules (https://www.postgresql.org/docs/current/sql-syntax-lexical.html); what of these pg_dump never
writes into such a statement is refused too: comments, dollar quotes, strings with escapes.
"""

import re
from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import NamedTuple

from shared.errors import Refusal
from shared.snapshot.dump import Entry
from shared.snapshot.names import cut

OURS = "mxferry"  # the schema that `shared.postgres.temporary` makes beside the dump's

Name = tuple[str, str]
"""Schema and name of an object."""

MAX_STATEMENT = 1 << 20  # characters of one entry; a table of 1,600 columns, PostgreSQL's most, has a fifth of that

# Repetitions are possessive (`++`): backtracking would cost memory for every part of a long name or text.
TOKEN = re.compile(
    r"""
    (?P<never>--|/\*|[eE]'|[uU]&['"]|\$)
    | (?P<blank>[ \t\n\r\f\v]+)
    | (?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    | (?P<name>"(?:[^"\0]++|"")++")
    | (?P<text>'(?:[^'\0]++|'')*+')
    | (?P<number>[0-9]+)
    | (?P<open>[(\[])
    | (?P<close>[)\]])
    | (?P<end>;)
    | (?P<mark>[-+*/<>=~!@\#%^&|`?.,:])
    """,
    re.VERBOSE,
)

# `{own}` is the entry's object, `{table}` a table that it may be about, `{name}` any one word, `()` what is in brackets.
# There is no comma outside of brackets: a statement does one thing.
OF_AN_INDEX = "ALTER TABLE (ONLY )?{table} (CLUSTER ON {name}|REPLICA IDENTITY USING INDEX {name})"
FORMS = {
    "TABLE": (
        r"CREATE (UNLOGGED )?TABLE {own} \(\)( WITH \(\))?",
        r"ALTER TABLE (ONLY )?{own} ALTER COLUMN {name} SET (STATISTICS (- )?0|STORAGE {name}|COMPRESSION {name}|\(\))",
        r"ALTER TABLE (ONLY )?{own} (REPLICA IDENTITY (FULL|NOTHING)|FORCE ROW LEVEL SECURITY)",
    ),
    "TYPE": (r"CREATE TYPE {own} AS (ENUM |RANGE )?\(\)",),
    "DOMAIN": (r"CREATE DOMAIN {own} AS [^,]+",),
    "SEQUENCE": (
        r"CREATE (UNLOGGED )?SEQUENCE {own}( [A-Z]+| (- )?0)*+",
        r"ALTER TABLE (ONLY )?{table} ALTER COLUMN {name} ADD GENERATED (ALWAYS|BY DEFAULT) AS IDENTITY \(\)",
        r"ALTER SEQUENCE {own} SET (UN)?LOGGED",
    ),
    "SEQUENCE OWNED BY": (r"ALTER SEQUENCE {own} OWNED BY {table} \. {name}",),
    "DEFAULT": (r"ALTER TABLE (ONLY )?{table} ALTER COLUMN {name} SET DEFAULT [^,]+",),
    "INDEX": (
        r"CREATE (UNIQUE )?INDEX {name} ON (ONLY )?{table} USING {name} \(\)( INCLUDE \(\))?( NULLS NOT DISTINCT)?"
        r"( WITH \(\))?( WHERE [^,]+)?",
        r"ALTER INDEX {own} ALTER COLUMN 0 SET STATISTICS (- )?0",
        OF_AN_INDEX,
    ),
    "CONSTRAINT": (r"ALTER TABLE (ONLY )?{table} ADD CONSTRAINT {name} [^,]+", OF_AN_INDEX),
    "FK CONSTRAINT": (r"ALTER TABLE (ONLY )?{table} ADD CONSTRAINT {name} FOREIGN KEY [^,]+",),
    "CHECK CONSTRAINT": (r"ALTER TABLE (ONLY )?{table} ADD CONSTRAINT {name} (CHECK|NOT NULL) [^,]+",),
    "TABLE DATA": (r"COPY {own} (\(\) )?FROM STDIN",),
}
WITH_EXPRESSIONS = {"TABLE", "DOMAIN", "DEFAULT", "INDEX", "CONSTRAINT", "CHECK CONSTRAINT"}
PATTERNS = {
    kind: re.compile("|".join(forms).replace("{own}", r"\{own\}").replace("{table}", r"\{table\}").replace("{name}", "[^ ]+"))
    for kind, forms in FORMS.items()
}  # fmt: skip


class _Token(NamedTuple):
    """A token, or all of a bracket: what forms are compared with, the name it is, what is inside."""

    form: str
    name: str | None = None
    inside: tuple["_Token", ...] = ()


def definition(entry: Entry, tables: Collection[Name]) -> str:
    """Return the entry's statements, for execution as they stand. `tables` are those that the entry may be about.

    Raises `Refusal` DUMP_STATEMENT for anything that pg_dump would not have written for it, DUMP_TOO_LARGE.
    """
    refuse_reserved(entry)
    _checked(entry, entry.definition, tables)
    return entry.definition


def copied_columns(entry: Entry) -> list[str]:
    """Return the columns of the entry's COPY statement, in the order of its text; empty when it names none.

    Raises `Refusal` DUMP_STATEMENT for any other statement than COPY of this table FROM stdin.
    """
    refuse_reserved(entry)
    statements = _checked(entry, entry.copy, ())
    if len(statements) > 1:
        raise _refusal(entry, entry.copy)
    listed = next((one.inside for one in statements[0] if one.inside), ())
    names = [one.name for one in listed[::2] if one.name is not None]
    if len(names) < len(listed[::2]) or any(one.form != "," for one in listed[1::2]):
        raise _refusal(entry, entry.copy)
    return names


def called(entry: Entry) -> set[str]:
    """Return what may be functions in the expressions of an entry that has been let through: names before a bracket."""
    if entry.desc not in WITH_EXPRESSIONS:
        return set()
    todo = list(_statements(entry.definition) or [])
    if entry.desc == "TABLE":  # its own name stands before a bracket too
        todo = [list(one.inside) for statement in todo for one in statement]
    found = set()
    while todo:
        tokens = todo.pop()
        found |= {str(one.name) for one, after in pairwise(tokens) if one.name is not None and after.form == "()"}
        todo += [list(one.inside) for one in tokens if one.inside]
    return found


def refuse_reserved(entry: Entry) -> None:
    """Raise `Refusal` DUMP_RESERVED_SCHEMA for an object in a schema that is the server's, or our own."""
    schema = entry.tag if entry.desc == "SCHEMA" else entry.namespace
    if schema in (OURS, "information_schema") or schema.startswith("pg_"):
        raise Refusal(
            "DUMP_RESERVED_SCHEMA",
            entry.label,
            f"expected objects of the app, found one in the schema {cut(schema)}, which is the server's or our own.",
            "Drop that schema in a copy of the source database and make the backup from that copy.",
        )


def _checked(entry: Entry, text: str, tables: Collection[Name]) -> list[list[_Token]]:
    if len(text) > MAX_STATEMENT:
        raise Refusal(
            "DUMP_TOO_LARGE",
            entry.label,
            f"expected a definition of at most {MAX_STATEMENT:,} characters, found {len(text):,}.",
            "This is not what a Mendix backup looks like; look at this object in the source database.",
        )
    statements = _statements(text)
    pattern = PATTERNS[entry.desc]
    own = (entry.namespace, entry.tag)
    if not statements or not all(pattern.fullmatch(_form(one, own, tables)) for one in statements):
        raise _refusal(entry, text)
    return statements


def _statements(text: str) -> list[list[_Token]] | None:
    """Return the statements' tokens, brackets as one token each; None for text that pg_dump does not write."""
    open_brackets: list[list[_Token]] = [[]]
    statements = []
    for kind, token in _tokens(text):
        if kind == "never" or (kind == "end" and len(open_brackets) > 1):
            return None
        if kind == "open":
            open_brackets.append([])
        elif kind == "close":
            inside = open_brackets.pop()
            if not open_brackets:
                return None
            open_brackets[-1].append(_Token("()", inside=tuple(inside)))
        elif kind == "end":
            statements.append(open_brackets.pop())
            open_brackets.append([])
        else:
            open_brackets[-1].append(_token(kind, token))
    return None if open_brackets != [[]] else statements


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    at = 0
    while at < len(text):
        found = TOKEN.match(text, at)
        if found is None:
            yield "never", text[at]
            return
        at = found.end()
        if found.lastgroup != "blank":
            yield str(found.lastgroup), found[0]


def _token(kind: str, text: str) -> _Token:
    if kind == "word":
        return _Token(text.upper(), text.lower())
    if kind == "name":
        return _Token('"', text[1:-1].replace('""', '"'))
    return _Token({"text": "'", "number": "0"}.get(kind, text))


def _form(statement: list[_Token], own: Name, tables: Collection[Name]) -> str:
    """Return a statement as the forms are written."""
    parts = []
    at = 0
    while at < len(statement):
        qualified = [one.name for one in statement[at : at + 3 : 2]]
        if len(qualified) == 2 and None not in qualified and statement[at + 1].form == ".":
            name = (str(qualified[0]), str(qualified[1]))
            if name == own or name in tables:
                parts.append("{own}" if name == own else "{table}")
                at += 3
                continue
        parts.append(statement[at].form)
        at += 1
    return " ".join(parts)


def _refusal(entry: Entry, text: str) -> Refusal:
    return Refusal(
        "DUMP_STATEMENT",
        entry.label,
        f"expected what pg_dump writes for such an entry, found {' '.join(text.split())[:200]!r}; nothing was executed.",
        "Take the backup again with pg_dump; if it is found again, mxferry does not know this form: report it.",
    )
