"""Every refusal is a sentence: what was expected, what was found, what to do.

`Refusal` is for what a retry cannot mend (a bad archive, a target that is not empty, a missing right): it ends the
stage, and its text reaches the report. `TransientError` is for what a retry may mend (throttling, a lost connection):
the activity raises it, and the orchestrator's retry policy decides. Neither ever carries a secret.
"""

from collections.abc import Iterable
from typing import Literal, Self, TypedDict, Unpack

from pydantic import BaseModel, ConfigDict, Field

Severity = Literal["error", "warning", "info"]

REMEDY = " What to do: "
"""Between message and remedy in an error's text, from which the orchestrators take it apart again."""


class Details(TypedDict, total=False):
    """What a finding may have beside its sentences."""

    count: int | None
    examples: list[str]
    choices: list[str]


class Finding(BaseModel):
    """One thing found by a check, in the form that the API, the page and the report show."""

    model_config = ConfigDict(extra="forbid")

    code: str = Field(description="Stable upper-case name, such as TARGET_NOT_EMPTY.")
    severity: Severity
    object: str = Field(description="What it is about: a table, a column, a blob, a setting. Never a secret.")
    message: str = Field(description="What was expected and what was found, as a sentence.")
    remedy: str = Field(default="", description="What to do, as a sentence.")
    count: int | None = Field(default=None, description="How many rows, files or objects are affected.")
    examples: list[str] = Field(default_factory=list, description="At most ten, masked unless the request asks.")
    choices: list[str] = Field(default_factory=list, description="Remedies the request may choose for this finding.")
    chosen: str | None = Field(default=None, description="The remedy the request chose.")

    @property
    def is_open_error(self) -> bool:
        """Whether it stops a run: an error for which the request chose no remedy."""
        return self.severity == "error" and self.chosen is None

    @classmethod
    def error(cls, code: str, about: str, message: str, remedy: str = "", **more: Unpack[Details]) -> Self:
        """Return a finding that ends the run, unless the request chooses one of its remedies."""
        return cls(code=code, severity="error", object=about, message=message, remedy=remedy, **more)

    @classmethod
    def warning(cls, code: str, about: str, message: str, remedy: str = "", **more: Unpack[Details]) -> Self:
        """Return a finding that people should read; the run goes on."""
        return cls(code=code, severity="warning", object=about, message=message, remedy=remedy, **more)

    @classmethod
    def info(cls, code: str, about: str, message: str, remedy: str = "", **more: Unpack[Details]) -> Self:
        """Return a finding that is worth knowing."""
        return cls(code=code, severity="info", object=about, message=message, remedy=remedy, **more)


def open_errors(findings: Iterable[Finding]) -> list[Finding]:
    """Return those that stop a run, in order."""
    return [one for one in findings if one.is_open_error]


class MxferryError(Exception):
    """Base of our errors: `code`, the `object` it is about, `message` and `remedy`."""

    def __init__(self, code: str, about: str, message: str, remedy: str = "") -> None:
        self.code = code
        self.about = about
        self.message = message
        self.remedy = remedy
        super().__init__(f"[{code}] {about}: {message}" + (f"{REMEDY}{remedy}" if remedy else ""))

    def finding(self) -> Finding:
        """Return this error as a finding of severity `error`."""
        return Finding.error(self.code, self.about, self.message, self.remedy)


class Refusal(MxferryError):  # noqa: N818 - the field's word
    """Something that trying again cannot mend; no retry policy repeats it."""


class TransientError(MxferryError):
    """Something that trying again may mend; raised out of the activity so that the orchestrator's policy repeats it."""
