"""The page's numbers, times and names (web/format.js, run by Node) are those of the report (shared/wording.py)."""

import base64
import json
import subprocess
from pathlib import Path
from typing import Any, get_args

import pytest

from api.standing import LOST, UNKNOWN
from local.azurite import node_program
from shared import wording
from shared.contracts import Verdict

FORMAT = Path(__file__).parents[2] / "web" / "format.js"
AMOUNTS = (None, 0, 1, 7, 999, 1000, 1234, 999_949, 1_000_000, 1_234_567, 123_456_789_012)
BYTES = (
    *(None, 0, 1, 999, 999.4, 999.6, 1000, 1004, 9_994, 9_996, 99_949, 99_951, 999_499, 999_501, 1_234_567),
    *(412_003_911, 1_230_000_000, 999_600_000_000, 5_400_000_000_000, 1_234_000_000_000_000, -2_345_678),
)
SECONDS = (
    *(None, 0, 0.04, 0.42, 0.994, 0.996, 1, 12.34, 59.94, 59.96, 60, 61.4, 247, 3_599.4, 3_599.6, 3_600, 3_661),
    *(7_500, 86_399.7, 360_000),
)
TEXTS = (
    *("expected rows, found none.", "shop$order has rows", "options.collation is new", "TARGET_FULL", "aborted", ""),
    *("collation: unknown", "Already so", "2 tables differ", "max_rejects was reached", "é is no plain letter"),
)
REASONS = (
    "copy: [ROW_REFUSED] shop$order chunk 0: expected at most 0 refused rows, found more: one",
    "approval: [ABORTED] approval: aborted by Ada before the target was written.",
    "files-verify: [FILE_MISSING] : two lines\nof it",
    "unheard-of: [A_CODE] thing: words",
    "2 checks failed, first row hash: a: b",
)

ASKED = """
import(process.argv[1]).then((page) => {
  const asked = JSON.parse(process.argv[2]), said = {};
  for (const [name, values] of Object.entries(asked)) said[name] = values.map((value) => page[name](value));
  process.stdout.write(JSON.stringify({ ...said, STAGES: page.STAGES, GATES: page.GATES, OVER: [...page.OVER], UNKNOWN: page.UNKNOWN }));
});
"""


@pytest.fixture(scope="module")
def page() -> dict[str, Any]:
    """What the page makes of the values, and its tables of words."""
    module = "data:text/javascript;base64," + base64.b64encode(FORMAT.read_bytes()).decode()
    asked = {
        "count": AMOUNTS, "size": BYTES, "duration": SECONDS, "sentence": TEXTS, "reasonParts": REASONS,
        "stageWords": [*wording.STAGE_WORDS, "unheard-of"],
    }  # fmt: skip
    command = [node_program() or "node", "--eval", ASKED, module, json.dumps(asked)]
    told = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
    found: dict[str, Any] = json.loads(told.stdout)
    return found


def test_numbers_sizes_and_durations_read_the_same_on_the_page_and_in_the_report(page: dict[str, Any]) -> None:
    assert page["count"] == [wording.count(value) for value in AMOUNTS]
    assert page["size"] == [wording.size(value) for value in BYTES]
    assert page["duration"] == [wording.duration(value) for value in SECONDS]


def test_stages_gates_and_verdicts_have_the_same_names_on_the_page_and_in_the_report(page: dict[str, Any]) -> None:
    assert page["STAGES"] == wording.STAGE_WORDS
    assert page["GATES"] == wording.GATE_WORDS
    assert set(page["OVER"]) == {*get_args(Verdict), LOST}
    assert set(page["UNKNOWN"]) == set(UNKNOWN)
    assert page["stageWords"] == [*wording.STAGE_WORDS.values(), "unheard-of"]


def test_messages_and_reasons_are_put_into_the_same_sentences_on_the_page_and_in_the_report(
    page: dict[str, Any],
) -> None:
    assert page["sentence"] == [wording.sentence(text) for text in TEXTS]
    said = [f"{one['words']} ({one['code']})" if one["code"] else one["words"] for one in page["reasonParts"]]
    assert said == [wording.reason_words(reason) for reason in REASONS]
