"""T-SQL text → trees: sqlglot's T-SQL parser for queries, kept from rewriting functions; batches cut into statements."""

import re
from collections.abc import Callable, Collection
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, ClassVar

import sqlglot
from sqlglot import exp
from sqlglot.dialects.tsql import TSQL
from sqlglot.parsers.tsql import TSQLParser
from sqlglot.tokenizer_core import Token, TokenType

from local.sqlserver.errors import NotUnderstoodError, SqlError, syntax_error


class PlainTsql(TSQL):
    """T-SQL whose function calls stay calls: sqlglot would turn LEN, HASHBYTES, DATEDIFF into something similar."""

    class Parser(TSQLParser):
        """The parser without its table of functions."""

        FUNCTIONS: ClassVar[dict[str, Callable[..., Any]]] = {}
        NO_PAREN_FUNCTIONS: ClassVar[dict[TokenType, type[exp.Expression]]] = {}
        FUNCTION_PARSERS: ClassVar[dict[str, Callable[..., Any]]] = {
            name: parser
            for name, parser in TSQLParser.FUNCTION_PARSERS.items()
            if name in ("CAST", "TRY_CAST", "CONVERT", "TRY_CONVERT")
        }


_DIALECT = PlainTsql()
_STRINGS = (TokenType.STRING, TokenType.NATIONAL_STRING)


@dataclass(frozen=True, slots=True)
class Word:
    """A token of a statement.

    `kind` is `word`, `name` (quoted or bracketed), `string` or `number`; `end` is the place after its last character.
    """

    text: str
    kind: str
    start: int
    end: int


def tokenize(text: str) -> list[Word]:
    """Tokens of a batch; keywords of two words, which sqlglot takes together, are two.

    Raises:
        SqlError: 105 for a string or comment that does not end.
    """
    try:
        tokens = _DIALECT.tokenize(text)
    except sqlglot.errors.TokenError as error:
        raise SqlError(105, f"Unclosed quotation mark or comment ({error}).", 15) from error
    return [word for token in tokens for word in _words(token, text)]


def _words(token: Token, text: str) -> list[Word]:
    start, end = token.start, token.end + 1
    if token.token_type in _STRINGS:
        return [Word(token.text, "string", start, end)]
    if text[start] in '["':
        return [Word(token.text, "name", start, end)]
    if token.token_type == TokenType.NUMBER:
        return [Word(token.text, "number", start, end)]
    return [
        Word(match[0], "word", start + match.start(), start + match.end())
        for match in re.finditer(r"[^\s]+", text[start:end])
    ]


# What sqlglot takes for something else: the literal 0x (a name) and the type real (it becomes float). Strings, names in
# brackets and comments are matched first, and left alone.
_MISREAD = re.compile(
    r"'(?:[^']|'')*'|\[[^\]]*\]|\"[^\"]*\"|--[^\n]*|/\*.*?\*/|(?<![\w@#$])(0[xX])(?![\w])|(?<=[\s(])(real)(?=\s*[,)])",
    re.DOTALL | re.IGNORECASE,
)


def _spelt_out(match: re.Match[str]) -> str:
    if match[1]:
        return "CAST('' AS varbinary(1))"
    return "float(24)" if match[2] else match[0]


@lru_cache(maxsize=512)
def parse_query(text: str) -> exp.Expression:
    """The tree of one SELECT or INSERT. Trees are shared: nobody may change them.

    Raises:
        SqlError: 102 for what sqlglot cannot parse.
    """
    try:
        trees = _DIALECT.parse(_MISREAD.sub(_spelt_out, text))
    except sqlglot.errors.ParseError as error:
        first = error.errors[0] if error.errors else {}
        near = first.get("highlight") or text[:40]
        raise SqlError(
            102, f"Incorrect syntax near '{near}' (or not understood by the stand-in) in: {text}", 15
        ) from error
    if len(trees) != 1 or not isinstance(trees[0], exp.Expression):
        raise NotUnderstoodError(text)
    return trees[0]


def parse_expression(text: str) -> exp.Expression:
    """The tree of one expression, a predicate included."""
    tree = parse_query(f"SELECT 1 WHERE {text}")
    where = tree.args.get("where")
    if not isinstance(tree, exp.Select) or where is None or set(_present(tree)) != {"expressions", "where"}:
        raise syntax_error(text)
    inner: exp.Expression = where.this
    return inner


def _present(node: exp.Expression) -> list[str]:
    return [name for name, value in node.args.items() if value not in (None, False, [], ())]


def only(node: exp.Expression, *known: str) -> None:
    """Refuses a node that carries more than the parts the caller is about to translate."""
    extra = [name for name in _present(node) if name not in known]
    if extra:
        part = node.args[extra[0]]
        text = part.sql(dialect="tsql") if isinstance(part, exp.Expression) else extra[0]
        raise NotUnderstoodError(f"{extra[0].rstrip('_').upper()} ({text})", node.sql(dialect="tsql"))


# --- a batch into statements -----------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Simple:
    """One statement."""

    text: str
    verb: str


@dataclass(frozen=True, slots=True)
class If:
    """IF condition statement [ELSE statement]."""

    condition: str
    then: "Block"
    otherwise: "Block | None"


@dataclass(frozen=True, slots=True)
class Try:
    """BEGIN TRY … END TRY BEGIN CATCH … END CATCH."""

    body: "Block"
    catch: "Block"


@dataclass(frozen=True, slots=True)
class Block:
    """Statements one after the other."""

    statements: "tuple[Simple | If | Try | Block, ...]"


_FIRST_WORDS = (
    "SELECT INSERT UPDATE DELETE SET DECLARE EXEC EXECUTE BEGIN COMMIT ROLLBACK SAVE IF RETURN THROW RAISERROR PRINT "
    "TRUNCATE DROP CREATE ALTER WHILE MERGE WITH USE GRANT DENY REVOKE WAITFOR BULK"
)
_STARTS = frozenset(_FIRST_WORDS.split())
# Keywords that may stand inside a statement at depth 0 without starting the next one.
_WITHIN = {
    "SELECT": {"SELECT", "WITH"},
    "WITH": {"SELECT", "INSERT", "UPDATE", "DELETE", "MERGE", "SET", "WITH"},
    "INSERT": {"SELECT", "EXEC", "EXECUTE", "WITH", "BULK"},
    "UPDATE": {"SET", "WITH"},
    "DELETE": {"WITH"},
    "ALTER": {"DROP", "ALTER", "WITH", "SET", "CREATE", "DELETE", "UPDATE", "IF", "ROLLBACK"},
    "CREATE": {"WITH", "DELETE", "UPDATE", "SET"},
    "DROP": {"IF"},
    "DECLARE": {"SELECT"},
    "BEGIN": {"WITH"},
    "MERGE": _STARTS,
    "GRANT": _STARTS,
    "DENY": _STARTS,
    "REVOKE": _STARTS,
    "TRUNCATE": {"WITH"},
    "UPDATE STATISTICS": {"WITH"},
    "EXEC": {"WITH"},
}


def parse_batch(text: str) -> Block:
    """Statements of a batch.

    Statements are parted by `;` or begin with a keyword that cannot stand where it stands. CREATE PROCEDURE takes the
    rest of the batch.
    """
    parser = _Batch(text)
    block = parser.block(until=())
    if parser.position < len(parser.tokens):
        raise syntax_error(parser.tokens[parser.position].text)
    return block


class _Batch:
    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = tokenize(text)
        self.position = 0

    def word(self, ahead: int = 0) -> str:
        place = self.position + ahead
        if place >= len(self.tokens) or self.tokens[place].kind in ("string", "name"):
            return ""
        return self.tokens[place].text.upper()

    def block(self, until: tuple[str, ...]) -> Block:
        found: list[Simple | If | Try | Block] = []
        while self.position < len(self.tokens) and self.word() not in until:
            if self.word() == ";":
                self.position += 1
                continue
            found.append(self.statement())
        return Block(tuple(found))

    def statement(self) -> Simple | If | Try | Block:
        if self.word() == "IF":
            return self.if_statement()
        if self.word() == "BEGIN" and self.word(1) == "TRY":
            return self.try_statement()
        if self.word() == "BEGIN" and self.word(1) not in ("TRAN", "TRANSACTION", "DISTRIBUTED"):
            return self.begin_end()
        return self.simple()

    def begin_end(self) -> Block:
        self.position += 1
        block = self.block(until=("END",))
        self.expect("END")
        return block

    def expect(self, word: str) -> None:
        if self.word() != word:
            near = self.tokens[self.position].text if self.position < len(self.tokens) else "end of batch"
            raise syntax_error(near)
        self.position += 1

    def if_statement(self) -> If:
        start = self.position = self.position + 1
        depth = cases = 0
        while self.position < len(self.tokens) and (depth or cases or self.word() not in _STARTS):
            depth += {"(": 1, ")": -1}.get(self.word(), 0)
            cases += {"CASE": 1, "END": -1}.get(self.word(), 0)
            self.position += 1
        condition = self.slice(start, self.position)
        then = Block((self.statement(),))
        while self.word() == ";" and self.word(1) == "ELSE":
            self.position += 1
        otherwise = None
        if self.word() == "ELSE":
            self.position += 1
            otherwise = Block((self.statement(),))
        return If(condition, then, otherwise)

    def try_statement(self) -> Try:
        self.position += 2
        body = self.block(until=("END",))
        self.expect("END")
        self.expect("TRY")
        if self.word() == ";":
            self.position += 1
        self.expect("BEGIN")
        self.expect("CATCH")
        catch = self.block(until=("END",))
        self.expect("END")
        self.expect("CATCH")
        return Try(body, catch)

    def simple(self) -> Simple:
        start, verb = self.position, self.word()
        if verb in ("CREATE", "ALTER") and self._is_procedure():
            self.position = len(self.tokens)
            return Simple(self.text[self.tokens[start].start :], verb)
        within = _WITHIN.get("UPDATE STATISTICS" if (verb, self.word(1)) == ("UPDATE", "STATISTICS") else verb, set())
        depth = cases = 0
        while self.position < len(self.tokens):
            word = self.word()
            if depth == 0 and self.position > start and self._ends(word, cases, within):
                break
            depth += {"(": 1, ")": -1}.get(word, 0)
            cases += {"CASE": 1, "END": -1}.get(word, 0)
            self.position += 1
        return Simple(self.slice(start, self.position), verb)

    def _ends(self, word: str, cases: int, within: Collection[str]) -> bool:
        if cases:
            return False
        if word in (";", "END", "ELSE"):
            return True
        is_name = self.tokens[self.position - 1].text in (".", "@", "AS")
        return word in _STARTS and word not in within and not is_name

    def _is_procedure(self) -> bool:
        words = {self.word(ahead) for ahead in range(1, 4)}
        return bool(words & {"PROCEDURE", "PROC", "FUNCTION", "VIEW", "TRIGGER"})

    def slice(self, start: int, end: int) -> str:
        if start >= end:
            raise syntax_error(self.tokens[min(start, len(self.tokens) - 1)].text)
        return self.text[self.tokens[start].start : self.tokens[end - 1].end]
