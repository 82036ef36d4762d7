"""`python -m local.cli` as a program, against the API's own handlers; the durable engine behind them is a double."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest

from shared import runs
from shared.communication.memory import Told, Untaken, memory_of
from shared.contracts import Gate, Progress, Run, StageState
from shared.errors import Finding
from shared.request import MigrationRequest
from shared.wording import moment
from tests.fixtures import reports
from tests.fixtures.apiserver import ApiServer

ID = "20261122t203000-3f9a1c"
REQUEST = {"source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}, "target": "demo"}
NOW = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)


def cli(api: ApiServer, *arguments: str, key: str | None = None, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the program as a person does."""
    environment = {**os.environ, "MXFERRY_URL": api.url, "MXFERRY_KEY": api.key if key is None else key}
    command = [sys.executable, "-m", "local.cli", *arguments]
    return subprocess.run(command, env=environment, input=stdin, capture_output=True, text=True, timeout=60)


def put(api: ApiServer, progress: Progress, status: str = "RUNNING", output: object = None) -> None:
    runs.save(Run(id=ID, request=MigrationRequest.model_validate(REQUEST), created_at=NOW))
    api.engine.set(ID, status, custom=progress.model_dump(mode="json"), output=output)


def test_a_request_is_made_from_options(api: ApiServer) -> None:
    done = cli(api, "start", "--blob", "uploads/a/b.tar.gz", "--target", "demo", "--approval", "--dry-run")
    assert done.returncode == 0, done.stderr
    [(_, run_id, run)] = api.engine.scheduled
    assert done.stdout.strip() == run_id
    assert run["request"]["source"]["blob"] == "a/b.tar.gz"
    assert (run["request"]["approval"], run["request"]["options"]["dry_run"]) == (True, True)


def test_a_request_is_read_from_standard_input(api: ApiServer) -> None:
    assert cli(api, "start", "-", stdin=json.dumps(REQUEST)).returncode == 0
    assert api.engine.scheduled[0][2]["request"]["target"] == "demo"


def test_a_refusal_is_said_with_its_remedy_and_exits_3(api: ApiServer) -> None:
    done = cli(api, "start", "--blob", "uploads/s.tar.gz", "--target", "nowhere")
    assert done.returncode == 3
    assert "expected a target profile from the settings" in done.stderr
    assert "TARGET__NOWHERE__" in done.stderr


def test_a_wrong_key_exits_3_and_is_not_repeated(api: ApiServer) -> None:
    done = cli(api, "list", key="not-the-key")
    assert done.returncode == 3
    assert "401" in done.stderr
    assert "not-the-key" not in done.stdout + done.stderr


def test_a_key_may_come_from_a_file(api: ApiServer, tmp_path) -> None:
    (tmp_path / "key").write_text(f"{api.key}\n")
    assert cli(api, "--key-file", str(tmp_path / "key"), "list", key="").returncode == 0
    missing = cli(api, "--key-file", str(tmp_path / "none"), "list")
    assert (missing.returncode, "--key-file" in missing.stderr) == (2, True)


def test_an_app_that_is_not_there_exits_4(api: ApiServer) -> None:
    done = cli(api, "--url", "http://127.0.0.1:9", "list")
    assert done.returncode == 4
    assert "does not answer" in done.stderr


@pytest.mark.parametrize(
    ("verdict", "code"), [("verified", 0), ("planned", 0), ("failed", 1), ("refused", 1), ("aborted", 1)]
)
def test_the_exit_code_of_watching_tells_the_verdict(api: ApiServer, verdict: str, code: int) -> None:
    put(api, Progress(stages=reports.stages()), "COMPLETED", {"verdict": verdict, "reason": "For a reason."})
    done = cli(api, "status", ID, "--watch")
    assert done.returncode == code, done.stderr
    assert f"{ID}: {verdict}. For a reason." in done.stdout


def test_status_lists_stages_and_list_lists_runs(api: ApiServer) -> None:
    put(api, Progress(stages=reports.stages("copy")))
    assert "Copy rows" in cli(api, "status", ID).stdout
    assert json.loads(cli(api, "status", ID, "--json").stdout)["stage"] == "copy"
    assert ID in cli(api, "list").stdout


def test_a_run_that_ended_without_a_word_is_watched_to_no_end_and_one_of_another_hub_neither(api: ApiServer) -> None:
    lost, other = ID, "20261122t203000-3f9a1d"
    for run_id, hub in ((lost, None), (other, "mxf0old")):
        asked = MigrationRequest.model_validate(REQUEST)
        runs.save(Run(id=run_id, request=asked, created_at=datetime.now(UTC) - timedelta(hours=3), hub=hub))
    listed = cli(api, "list").stdout.splitlines()
    assert [line.split()[:3] for line in listed[1:]] == [[other, "elsewhere", "(mxf0old)"], [lost, "lost", "cutover"]]
    for run_id, says in (
        (lost, "lost. The engine does not know it"),
        (other, "elsewhere. It runs in another task hub"),
    ):
        done = cli(api, "status", run_id, "--watch")
        assert (done.returncode, f"{run_id}: {says}" in done.stdout) == (1, True), done.stdout
    refused = cli(api, "abort", other, "--by", "kim")
    assert (refused.returncode, "mxf0old" in refused.stderr) == (3, True)


def test_status_tells_what_channels_took_what_waits_and_what_was_given_up(api: ApiServer) -> None:
    put(api, Progress(stages=reports.stages("restore")))
    late = Untaken(event=f"{ID}:late", kind="late", channel="mail", since=NOW, code="NO_TOKEN")
    started = late.model_copy(update={"event": f"{ID}:started", "kind": "started", "dropped_at": NOW})
    told = Told(told={f"{ID}:started": ["team"]}, waiting=[late], dropped=[started])
    runs.write(memory_of(ID), told.model_dump_json().encode(), "application/json")
    shown = cli(api, "status", ID).stdout
    assert f"`mail`: took 0 messages; 1 message tried again since {moment(NOW)}: late (NO_TOKEN); " in shown
    assert "1 message given up: started (NO_TOKEN)." in shown
    assert "`team`: took 1 message." in shown


def test_status_tells_every_gate_and_what_became_of_it(api: ApiServer) -> None:
    late = Gate(name="late", asked_at=NOW, answers_by=NOW, decision="approved", decided_by="Ada", decided_at=NOW, comment="Go on.")  # fmt: skip
    put(api, Progress(stages=reports.stages("inspect"), gates=[late, Gate(name="write", asked_at=NOW, answers_by=NOW)]))
    said = cli(api, "status", ID).stdout
    assert f"It will be late. Go on? approved by Ada (as stated), {moment(NOW)}: Go on." in said
    assert f"Write the target? It waits until {moment(NOW)}." in said


def test_approve_and_abort_say_who(api: ApiServer) -> None:
    gate = Gate(name="write", asked_at=NOW, answers_by=NOW)
    put(api, Progress(stages=[StageState(name="approval", state="waiting", started_at=NOW)], gates=[gate]))
    assert cli(api, "approve", ID, "--by", "Ada", "--comment", "Go.").returncode == 0
    assert cli(api, "abort", ID, "--by", "Bob").returncode == 0
    said = {"by": "Ada", "signed_in": False, "comment": "Go."}
    assert api.engine.events == [(ID, "approve-write", said), (ID, "abort", said | {"by": "Bob", "comment": ""})]


def test_approve_tells_the_question_and_answers_that_gate_alone(api: ApiServer) -> None:
    gate = Gate(name="late", asked_at=NOW, answers_by=NOW)
    put(api, Progress(stages=[StageState(name="late", state="waiting", started_at=NOW)], gates=[gate]))
    other = cli(api, "approve", ID, "--by", "Ada", "--gate", "write")
    assert (other.returncode, "found it at late" in other.stderr) == (3, True)
    assert api.engine.events == []
    done = cli(api, "approve", ID, "--by", "Ada")
    assert "It will be late. Go on?" in done.stdout
    assert "approve at the gate `late` asked for by Ada" in done.stdout
    [(_, event, _)] = api.engine.events
    assert event == "approve-late"


def test_without_a_key_it_says_what_to_set(api: ApiServer) -> None:
    done = cli(api, "list", key="")
    assert (done.returncode, "MXFERRY_KEY" in done.stderr) == (3, True)


@pytest.mark.parametrize("text", ["{nope", "[1]", '"a"'])
def test_a_request_that_is_no_json_object_is_a_sentence_and_exits_5(api: ApiServer, text: str) -> None:
    done = cli(api, "start", "-", "--target", "demo", stdin=text)
    assert (done.returncode, "expected a MigrationRequest as JSON" in done.stderr) == (5, True), done.stderr
    assert "Traceback" not in done.stderr


def test_a_report_that_cannot_be_written_is_a_sentence_and_exits_5(api: ApiServer, tmp_path) -> None:
    put(api, Progress(), "COMPLETED", {"verdict": "verified"})
    runs.write(f"runs/{ID}/report.json", b"{}", "application/json")
    done = cli(api, "report", ID, "--out", str(tmp_path / "none" / "r.json"))
    assert (done.returncode, done.stderr.startswith("--out: ")) == (5, True), done.stderr


def test_names_of_a_database_cannot_steer_the_terminal(api: ApiServer) -> None:
    hostile = "a\x1b]0;owned\x07\x9b2J\u202eb"
    stage = StageState(name="copy", started_at=NOW, note=hostile)
    gate = Gate(name="late", asked_at=NOW, answers_by=NOW, decision="approved", decided_by=hostile, comment=hostile)
    put(api, Progress(stages=[stage], gates=[gate]), "COMPLETED", {"verdict": "failed", "reason": hostile})
    runs.save_findings(ID, [Finding(code="X", severity="error", object=hostile, message=hostile)])
    said = cli(api, "status", ID).stdout
    assert said.count("a�]0;owned��2J�b") == 6
    assert not set(said) & set("\x1b\x07\x9b\u202e")


def test_the_report_goes_to_a_file_or_to_standard_output(api: ApiServer, tmp_path) -> None:
    put(api, Progress(), "COMPLETED", {"verdict": "verified"})
    assert cli(api, "report", ID).returncode == 3
    runs.write(f"runs/{ID}/report.json", reports.verified().model_dump_json().encode(), "application/json")
    runs.write(f"runs/{ID}/report.html", b"<p>report</p>", "text/html")
    assert json.loads(cli(api, "report", ID).stdout)["verdict"] == "verified"
    assert cli(api, "report", ID, "--form", "html", "--out", str(tmp_path / "r.html")).returncode == 0
    assert (tmp_path / "r.html").read_bytes() == b"<p>report</p>"


def test_help_names_every_command(api: ApiServer) -> None:
    done = cli(api, "--help")
    assert done.returncode == 0
    for command in ("start", "list", "status", "approve", "abort", "report", "runbook", "schema"):
        assert command in done.stdout
