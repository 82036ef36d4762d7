"""The log lines of host and engine."""

import json
import logging
import sys

from local.engine.program import JsonLines


def record(**more: object) -> logging.LogRecord:
    made = logging.LogRecord("mxferry.host", logging.INFO, __file__, 1, "copied %d rows", (7,), None)
    made.__dict__.update(more)
    return made


def test_a_line_is_a_json_object_with_the_fields_given() -> None:
    line = json.loads(JsonLines().format(record(fields={"status": 200})))
    assert line["message"] == "copied 7 rows"
    assert (line["level"], line["logger"], line["status"]) == ("INFO", "mxferry.host", 200)


def test_an_exception_that_the_app_redacted_is_written_redacted() -> None:
    try:
        raise ValueError("password=hunter2")
    except ValueError:
        exc_info = sys.exc_info()
    assert "hunter2" in json.loads(JsonLines().format(record(exc_info=exc_info)))["exception"]
    line = JsonLines().format(record(exc_info=exc_info, exc_text="ValueError: password=***"))
    assert json.loads(line)["exception"] == "ValueError: password=***"
