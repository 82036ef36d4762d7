"""What is left of an activity's error when the retries are used up: a finding that says what to do."""

import pytest
from durabletask import task

from orchestrators.stages import EXHAUSTED, finding_of
from shared.errors import TransientError

WORKER = 'Result: Failure\nException: TransientError: {}\nStack:   File "/app/activities/boundary.py", line 1, in run'


def finding(text):
    return finding_of("copy", task.TaskFailedError("task failed", RuntimeError(text)))


@pytest.mark.parametrize("form", ["{}", "Activity task #7 failed: {}", WORKER])
def test_code_object_message_and_remedy_come_back_whole(form):
    error = TransientError("SQL_TRANSIENT", "sql/db", "error 40613: not available [now]: later.", "Scale it up.")
    found = finding(form.format(error))
    assert (found.code, found.object) == (error.code, error.about)
    assert (found.message, found.remedy) == (error.message, error.remedy)


@pytest.mark.parametrize(
    "text", ["[BLOB_READ] snapshot.tar: expected 7 bytes, found 3.", "the worker died", "[no] code: x"]
)
def test_an_error_without_a_remedy_of_its_own_gets_one(text):
    assert finding(text).remedy == EXHAUSTED
