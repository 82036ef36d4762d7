"""The HTML report: verdict first, every value escaped, nothing loaded from outside."""

import re
from datetime import timedelta
from html.parser import HTMLParser

import pytest

from shared import wording
from shared.contracts import Check, Gate, StageState, TableRows
from shared.errors import Finding
from shared.reporting.gantt import timeline
from shared.reporting.html import page
from shared.reporting.model import Place, RejectedRow, Report, TickReport, stage_report
from shared.request import Window
from tests.fixtures import reports

HOSTILE = """</td><script>alert(1)</script><img src=x onerror="alert(2)">&'"""


class Seen(HTMLParser):
    """Collects tags, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes.extend(attrs)

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_a_verified_run_says_so_before_anything_else() -> None:
    text = " ".join(" ".join(Seen(page(reports.verified())).text).split())
    body = text[text.index("mxferry report of") :]
    assert body.index("Verified") < body.index("Duration") < body.index("What was moved")
    assert "5 checks passed, 0 failed, 1 not done." in body


def test_a_failed_run_says_why_and_warns_of_the_half_written_target() -> None:
    text = " ".join(Seen(page(reports.failed())).text)
    assert "found 2 rows with the key of another" in text
    assert "Do not start the app on it" in text
    assert text.index("DUPLICATE_KEYS") < text.index("What was moved")


@pytest.mark.parametrize(
    ("stages", "started"),
    [
        ([("app-start", "done")], True), ([("app-start", "failed")], True), ([("app-start", "skipped")], False),
        ([("start-gate", "done")], True), ([("start-gate", "failed")], False), ([("hand-over", "failed")], True),
    ],
)  # fmt: skip
def test_a_run_that_had_the_app_started_and_failed_says_to_stop_it(
    stages: list[tuple[str, str]], started: bool
) -> None:
    made = [stage_report(StageState(name=name, state=state, started_at=reports.START)) for name, state in stages]  # type: ignore[arg-type]
    text = words(reports.failed().model_copy(update={"stages": [*reports.failed().stages, *made]}))
    assert ("The app was started on it: stop it" in text) == started
    assert ("Do not start the app on it" in text) == (not started)


def test_refused_rows_are_listed_with_table_key_and_reason_and_the_blob_that_has_all_of_them() -> None:
    report = reports.failed()
    assert report.rejects is not None
    first = [RejectedRow(table="crm$party", key={"id": str(number)}, error=HOSTILE) for number in range(100)]
    rejects = report.rejects.model_copy(update={"rows": 4321, "first": first})
    text = " ".join(" ".join(Seen(page(report.model_copy(update={"rejects": rejects}))).text).split())
    assert "The target refused 4,321 rows." in text
    assert f"in the blob {rejects.blob} of the reports container; these are the first 100" in text
    assert f"crm$party id 99 {HOSTILE}" in text


def test_what_was_not_counted_is_said_instead_of_a_zero() -> None:
    why = "the copy did not end"
    files = reports.failed().files.model_copy(update={"copied": 0, "bytes": 0, "not_counted": why})
    nothing = {"tables": [], "rows": 0, "rejects": None}
    report = reports.failed().model_copy(update=nothing | {"rows_not_counted": why, "files": files})
    text = " ".join(" ".join(Seen(page(report)).text).split())
    assert text.count(f"not counted: {why}") == 3, "the figures of rows and files, and the files' own section"
    assert text.count(f"Not counted: {why}.") == 2, "tables and rejected rows"
    for claim in ("No table was copied", "The target refused no row", "0 of 2,000"):
        assert claim not in text


def test_a_refused_run_says_that_the_target_is_untouched() -> None:
    text = " ".join(Seen(page(reports.refused())).text)
    assert "The target was not written in this run" in text
    assert "No table was copied." in text
    assert "were not reconciled" in text


def words(report: Report) -> str:
    """The text of the page, blanks evened out."""
    return " ".join(" ".join(Seen(page(report)).text).split())


def test_every_gate_is_told_with_question_times_answer_who_and_why() -> None:
    late = Gate(name="late", asked_at=reports.START, answers_by=reports.START + timedelta(minutes=5), decision="expired", decided_at=reports.START + timedelta(minutes=5))  # fmt: skip
    text = words(reports.verified().model_copy(update={"gates": [late, *reports.verified().gates]}))
    assert "Decisions 2" in text
    assert (
        "It will be late. Go on? expired by the clock 2026-11-22 20:30:00 until 2026-11-22 20:35:00 2026-11-22 20:35:00 –"
        in text
    )
    assert (
        "Write the target? approved by Ada Fischer (as stated) 2026-11-22 20:31:11 until 2026-11-23 00:30:00 2026-11-22"
        in text
    )
    assert "The run waited for nobody" in words(reports.refused())


def test_a_name_that_the_platform_vouches_for_stands_alone() -> None:
    [gate] = reports.verified().gates
    signed = gate.model_copy(update={"signed_in": True})
    assert "approved by Ada Fischer 2026" in words(reports.verified().model_copy(update={"gates": [signed]}))


def test_what_no_check_looks_at_is_said_beside_what_was_not_checked() -> None:
    text = words(reports.verified())
    assert text.index("Not checked") < text.index("sample of cells") < text.index("Encryption module")


@pytest.mark.parametrize(
    ("minutes", "kept"), [(10, "proved 7 min 14 s before its end"), (2, "proved 46.0 s after its end")]
)
def test_the_window_is_told_with_what_was_left_of_it(minutes: int, kept: str) -> None:
    window = Window(start=reports.START, end=reports.START + timedelta(minutes=minutes))
    assert kept in words(reports.verified().model_copy(update={"window": window}))


@pytest.mark.parametrize(
    "place", ["table", "finding", "check", "source", "snapshot", "gate", "tick", "cleanup", "place"]
)
def test_hostile_values_from_a_database_stay_text(place: str) -> None:
    report = reports.verified()
    changed = {
        "table": {"tables": [TableRows(name=HOSTILE, rows_source=1, rows_copied=1)]},
        "finding": {"findings": [Finding(code="X", severity="info", object=HOSTILE, message=HOSTILE, examples=[HOSTILE])]},
        "check": {"checks": [Check(name=HOSTILE, outcome="failed", how=HOSTILE, detail=HOSTILE)]},
        "source": {"source": HOSTILE},
        "snapshot": {"snapshot": {HOSTILE: HOSTILE}},
        "gate": {"gates": [report.gates[0].model_copy(update={"comment": HOSTILE})]},
        "tick": {"ticks": [TickReport(title=HOSTILE, step="a", by=HOSTILE, at=reports.START, comment=HOSTILE)]},
        "cleanup": {"cleanup": [HOSTILE]},
        "place": {"places": [Place(name=HOSTILE, where=HOSTILE, holds=HOSTILE, until=HOSTILE)]},
    }[place]  # fmt: skip
    seen = Seen(page(report.model_copy(update=changed)))
    assert "script" not in seen.tags
    assert "img" not in seen.tags
    assert not [name for name, _ in seen.attributes if name.startswith("on")]
    assert HOSTILE in "".join(seen.text)


def test_every_place_is_told_with_what_lies_there_and_until_when() -> None:
    text = " ".join(" ".join(Seen(page(reports.verified())).text).split())
    for place in reports.verified().places:
        assert f"{place.where} {place.holds} {place.until}" in text


def test_what_each_channel_was_told_is_said_as_far_as_it_is_known_and_nothing_where_nobody_was() -> None:
    text = words(reports.verified())
    assert "until 2026-11-22 20:32:51 UTC. Telling goes on after the report" in text
    assert "bosses : took 1 message; 1 message given up: late:30min (NO_TOKEN)." in text
    assert "team : took 14 messages." in text
    assert "Messages" not in words(reports.verified().model_copy(update={"messages": None}))


def test_the_page_loads_nothing_from_outside() -> None:
    text = page(reports.verified())
    seen = Seen(text)
    assert not [value for name, value in seen.attributes if name in ("src", "href")]
    assert "url(" not in text
    assert "@import" not in text
    assert "default-src 'none'" in text


def test_a_table_that_differs_comes_first_and_is_marked() -> None:
    text = page(reports.failed())
    rows = re.findall(r'<tr( class="differs")?><th scope="row" class="name">([^<]+)', text)
    assert rows[0] == (' class="differs"', "orders$order")
    assert [name for mark, name in rows if mark] == ["orders$order"]


def test_tables_emptied_on_purpose_do_not_count_as_a_difference() -> None:
    text = page(reports.verified())
    assert 'class="differs"' not in text
    assert "Left empty on purpose" in text


def test_a_running_stage_reaches_to_the_time_of_the_report() -> None:
    report = reports.verified()
    running = report.stages[0].model_copy(update={"ended_at": None, "state": "running"})
    text = page(report.model_copy(update={"stages": [running, *report.stages[1:]]}))
    assert '<rect class="bar running" x="0.0%" width="100.0%"' in text


def test_the_reason_is_told_in_words_with_its_code_at_the_end() -> None:
    assert "Copy rows, orders$order: expected unique keys" in words(reports.failed())
    said = wording.reason_words("approval: [ABORTED] approval: aborted by Ada before the target was written.")
    assert said == "Approval: aborted by Ada before the target was written. (ABORTED)"
    assert wording.reason_words("2 checks failed, first row hash: a: b") == "2 checks failed, first row hash: a: b"


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "0 B"), (999, "999 B"), (1000, "1.00 kB"), (12_345, "12.3 kB"), (999_499, "999 kB"), (999_600, "1.00 MB"), (5e15, "5000 TB")],
)  # fmt: skip
def test_sizes_have_three_digits(value: float, words: str) -> None:
    assert wording.size(value) == words


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(0.004, "0.00 s"), (0.42, "0.42 s"), (12.34, "12.3 s"), (59.96, "1 min 00 s"), (247, "4 min 07 s"), (7512, "2 h 05 min")],
)  # fmt: skip
def test_durations_read_as_people_say_them(seconds: float, words: str) -> None:
    assert wording.duration(seconds) == words


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("expected a, found b.", "Expected a, found b."),
        ("read_committed_snapshot is off", "read_committed_snapshot is off"),
        ("mendixsystem$sequence.current_value is 0", "mendixsystem$sequence.current_value is 0"),
        ("", ""),
    ],
)
def test_a_message_gets_a_capital_letter_unless_it_begins_with_a_name(text: str, shown: str) -> None:
    assert wording.sentence(text) == shown


def waited_for_its_window(seconds: float) -> list[StageState]:
    """The stages of a run that was asked for that long before its window opened."""
    asked = reports.START - timedelta(seconds=seconds)
    early = StageState(name="early-preflight", state="done", started_at=asked, ended_at=asked + timedelta(seconds=2))
    scheduled = StageState(name="scheduled", state="done", started_at=asked + timedelta(seconds=2), ended_at=reports.START)  # fmt: skip
    return [early, scheduled, *reports.stages()]


def test_a_run_that_waited_for_its_window_is_drawn_from_its_opening_on() -> None:
    stages = [stage_report(one) for one in waited_for_its_window(32_400)]
    drawn, plain = (timeline(some, reports.START) for some in (stages, reports.verified().stages))
    assert drawn.bars == plain.bars
    assert (drawn.waited, plain.waited) == (True, False)
    text = words(reports.verified().model_copy(update={"stages": stages}))
    assert "Drawn from the opening of the window on" in text
    assert "Waiting for the window done 2026-11-22 11:30:02 8 h 59 min" in text, "the table has it all"


def test_a_run_that_never_came_out_of_the_wait_is_drawn_all_the_same() -> None:
    stages = [stage_report(one) for one in waited_for_its_window(60)[:2]]
    found = timeline(stages, reports.START)
    assert ([one.name for one in found.bars], found.waited) == (["early-preflight", "scheduled"], False)
