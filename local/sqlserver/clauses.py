"""A cursor over the tokens of one statement, for the statements that are not queries."""

from local.sqlserver.errors import NotUnderstoodError, syntax_error
from local.sqlserver.parsing import Word, tokenize
from local.sqlserver.sqltypes import SqlType, UnknownTypeError, make_type


class Clauses:
    """Reads a statement word by word; whatever nobody reads is refused by `end`."""

    def __init__(self, statement: str) -> None:
        self.statement = statement
        self.tokens = [token for token in tokenize(statement) if token.text != ";" or token.kind != "word"]
        self.at = 0

    # --- looking ---------------------------------------------------------------------------------------------------

    @property
    def done(self) -> bool:
        """Whether every token has been read."""
        return self.at >= len(self.tokens)

    def token(self, ahead: int = 0) -> Word | None:
        """A token to come."""
        place = self.at + ahead
        return self.tokens[place] if place < len(self.tokens) else None

    def word(self, ahead: int = 0) -> str:
        """A token to come in upper case; nothing for strings, bracketed names and the end."""
        token = self.token(ahead)
        if token is None or token.kind in ("string", "name"):
            return ""
        return token.text.upper()

    def near(self) -> str:
        """What stands here, for an error."""
        token = self.token()
        return token.text if token else "end of statement"

    # --- reading ---------------------------------------------------------------------------------------------------

    def takes(self, *words: str) -> bool:
        """Reads these words if they come next, all of them."""
        if [self.word(ahead) for ahead in range(len(words))] != list(words):
            return False
        self.at += len(words)
        return True

    def expect(self, *words: str) -> None:
        """Reads these words.

        Raises:
            SqlError: 102 when something else stands here.
        """
        if not self.takes(*words):
            raise syntax_error(self.near())

    def name(self) -> str:
        """Reads one identifier, bracketed or not."""
        token = self.token()
        if token is None or token.kind in ("string", "number") or (token.kind == "word" and token.text in "(),.=;@"):
            raise syntax_error(self.near())
        self.at += 1
        return token.text

    def qualified(self) -> tuple[str, str, str]:
        """Reads `[database.][schema.]name`."""
        parts = [self.name()]
        while self.takes("."):
            parts.append("" if self.word() == "." else self.name())
        if len(parts) > 3:
            raise NotUnderstoodError(".".join(parts), self.statement)
        database, schema, name = [""] * (3 - len(parts)) + parts
        return database, schema, name

    def string(self) -> str:
        """Reads a string literal."""
        token = self.token()
        if token is None or token.kind != "string":
            raise syntax_error(self.near())
        self.at += 1
        return token.text

    def integer(self) -> int:
        """Reads a number, with its sign."""
        sign = -1 if self.takes("-") else 1
        token = self.token()
        if token is None or token.kind != "number" or not token.text.isdigit():
            raise syntax_error(self.near())
        self.at += 1
        return sign * int(token.text)

    def variable(self) -> str:
        """Reads `@name` and gives the name."""
        self.expect("@")
        return self.name()

    def names(self) -> list[str]:
        """Reads `(name, name, …)`."""
        self.expect("(")
        found = [self.name()]
        while self.takes(","):
            found.append(self.name())
        self.expect(")")
        return found

    def parenthesised(self) -> str:
        """Reads `( … )` and gives the text between."""
        start = self.at
        self.expect("(")
        depth = 1
        while depth:
            if self.done:
                raise syntax_error("(")
            depth += {"(": 1, ")": -1}.get(self.word(), 0)
            self.at += 1
        return self.slice(start + 1, self.at - 1)

    def until(self, *words: str) -> str:
        """Reads up to one of the words at depth 0, or to the end, and gives the text."""
        start, depth, cases = self.at, 0, 0
        while not self.done:
            word = self.word()
            if depth == 0 and cases == 0 and word in words:
                break
            depth += {"(": 1, ")": -1}.get(word, 0)
            cases += {"CASE": 1, "END": -1}.get(word, 0)
            if depth < 0:
                break
            self.at += 1
        return self.slice(start, self.at)

    def rest(self) -> str:
        """Reads everything that is left."""
        return self.until()

    def slice(self, start: int, end: int) -> str:
        """Text of the tokens from start to before end."""
        if start >= end:
            raise syntax_error(self.near())
        return self.statement[self.tokens[start].start : self.tokens[end - 1].end]

    def data_type(self) -> SqlType:
        """Reads a type as a declaration has it."""
        name = self.name()
        if self.takes("."):  # sys.sysname
            name = self.name()
        arguments = []
        if self.word() == "(":
            arguments = [part.strip() for part in self.parenthesised().split(",")]
        try:
            return make_type(name, arguments)
        except UnknownTypeError as error:
            raise NotUnderstoodError(f"type {error}", self.statement) from error

    def end(self) -> None:
        """Refuses what is left over."""
        if not self.done:
            raise NotUnderstoodError(self.slice(self.at, len(self.tokens)), self.statement)
