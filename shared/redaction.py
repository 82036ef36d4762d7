"""Takes secrets out of text that may leave the process: logs, errors, history, reports.

A safety net under rule 2 (no secret crosses the durable boundary), not a licence to log carelessly: it knows the forms
in which drivers and SDKs quote secrets (connection strings, SAS queries, URLs with user info, bearer tokens) and the
secret values of the settings themselves.
"""

import logging
import re
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel, SecretStr

MASK = "***"

# What may run over the whole text from each of its words is bounded: a long text is searched in one pass.
_FORMS = (
    (re.compile(r"(?i)\b(password|pwd|accountkey|sharedaccesssignature|api[_-]?key|access[_-]?token)(\"?\s*[=:]\s*)(\{[^}]{0,1000}\}|'[^']*'|\"[^\"]*\"|[^\s;,&]+)"), rf"\1\2{MASK}"),
    (re.compile(r"(?i)([?&;](?:sig|code|x-amz-signature|x-amz-credential|x-amz-security-token|token)=)[^&\s\"']+"), rf"\1{MASK}"),
    (re.compile(r"(?i)(\b[a-z][a-z0-9+.-]{0,30}://)[^\s/@:]+:[^\s/@]+@"), rf"\1{MASK}@"),
    (re.compile(r"(?i)(\bauthorization\W{1,8}basic\s+)[A-Za-z0-9+/=]{4,}"), rf"\1{MASK}"),
    (re.compile(r"(?i)(XASSESSIONID=)[^\s;,\"']+"), rf"\1{MASK}"),
    (re.compile(r"(?i)\b(bearer|mxtoken|sharedkey)\s+[A-Za-z0-9._~+/=:-]{8,}"), rf"\1 {MASK}"),
)  # fmt: skip

_known: set[str] = set()


def remember(model: BaseModel) -> None:
    """Remember every secret value of a settings model, so that `redact` takes it out wherever it appears."""
    _known.update(secret for secret in _secrets(model) if len(secret) >= 6)


def redact(text: str) -> str:
    """Return the text without secrets."""
    for secret in _known:
        if secret in text:
            text = text.replace(secret, MASK)
    for pattern, replacement in _FORMS:
        text = pattern.sub(replacement, text)
    return text


def install() -> None:
    """Redact every log record of this process where it is made, whatever handler the host attaches."""
    made = logging.getLogRecordFactory()
    if getattr(made, "redacts", False):
        return

    def redacted(*args: Any, **options: Any) -> logging.LogRecord:
        record = made(*args, **options)
        record.msg, record.args = redact(_message(record)), None
        if record.exc_info and record.exc_info[1] is not None:
            # A formatter uses exc_text where it is set, and formats the exception itself only where it is not.
            record.exc_text = redact(logging.Formatter().formatException(record.exc_info))
        return record

    redacted.redacts = True  # type: ignore[attr-defined]
    logging.setLogRecordFactory(redacted)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except (TypeError, ValueError):  # a library's own mistake in its format string must not end our work
        return f"{record.msg} {record.args}"


def _secrets(value: object) -> Iterator[str]:
    if isinstance(value, SecretStr):
        yield from _parts(value.get_secret_value())
    elif isinstance(value, BaseModel):
        for name in type(value).model_fields:
            yield from _secrets(getattr(value, name))
    elif isinstance(value, dict):
        for item in value.values():
            yield from _secrets(item)


def _parts(secret: str) -> Iterator[str]:
    yield secret
    found = re.search(r"(?i)AccountKey=([^;]+)", secret)
    if found:
        yield found.group(1)
