"""Commands of `python -m local.cli`, in this process, against the API's own handlers; the durable engine is a double."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from api.setup import SetupView
from local.cli.program import main
from shared import rehearsals, runs, ticks
from shared.contracts import Progress, Run, StageState
from shared.errors import Finding
from shared.request import MigrationRequest
from tests.fixtures import reports
from tests.fixtures.apiserver import ApiServer

ID = "20261122t203000-3f9a1c"
REQUEST = {"source": {"kind": "blob", "container": "uploads", "blob": "s.tar.gz"}, "target": "demo", "approval": True}
NOW = datetime(2026, 11, 22, 20, 30, tzinfo=UTC)
HOSTILE = "a\x1b]0;owned\x07[red]b"
COMMANDS = (
    "start", "request", "list", "status", "tables", "approve", "abort", "tick", "source-settings", "report", "runbook",
    "schema", "rehearsals", "readiness", "setup",
)  # fmt: skip

Cli = Callable[..., tuple[int, str, str]]


@pytest.fixture
def cli(api: ApiServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Cli:
    """Run a command; returns its exit code, and what it printed and complained of."""
    monkeypatch.setenv("MXFERRY_URL", api.url)
    monkeypatch.setenv("MXFERRY_KEY", api.key)
    monkeypatch.setenv("COLUMNS", "300")

    def run(*arguments: str) -> tuple[int, str, str]:
        try:
            code = main(arguments)
        except SystemExit as ended:
            code = int(ended.code or 0)
        return code, *capsys.readouterr()

    return run


def put(api: ApiServer, status: str = "RUNNING", output: object = None) -> None:
    stages = [StageState(name="preflight", state="done", started_at=NOW, ended_at=NOW)]
    runs.save(Run(id=ID, request=MigrationRequest.model_validate(REQUEST), created_at=NOW))
    api.engine.set(ID, status, custom=Progress(stages=stages).model_dump(mode="json"), output=output)


def rehearsed(days: int, **changes: object) -> str:
    """Keep a rehearsal that many days ago; returns its id."""
    when = datetime.now(UTC) - timedelta(days=days)
    made = {"purpose": "rehearsal", "target": "rehearsal", "created_at": when, "findings": [],
            "id": f"{when:%Y%m%dt%H%M%S}-0000aa"}  # fmt: skip
    rehearsals.remember(reports.verified().model_copy(update=made | changes))
    return str(made["id"])


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_of_a_command_has_one_line_and_an_example(cli: Cli, command: str) -> None:
    code, said, _ = cli(command, "--help")
    assert code == 0
    assert f"Example: python -m local.cli {command}" in said
    assert len(said.split("\n\n")[1]) < 200, "one line, however narrow the terminal"


def test_every_command_is_in_the_help_and_tested_here(cli: Cli) -> None:
    listed = [line.split()[0] for line in cli("--help")[1].splitlines() if line[:4].isspace() and line[4:5].isalpha()]
    assert listed == list(COMMANDS)


def test_a_refusal_is_said_with_title_code_sentence_and_remedy(cli: Cli, api: ApiServer) -> None:
    put(api)
    code, _, complaint = cli("approve", ID, "--by", "Ada")
    assert (code, complaint) == (
        3,
        "409 Conflict: [NOTHING_TO_APPROVE] expected a migration that waits at a gate, found it running. "
        "Approve when the status is `waiting`.\n",
    )


def test_rehearsals_are_listed_with_those_that_could_not_start(cli: Cli) -> None:
    assert cli("rehearsals") == (0, "No rehearsal has ended yet.\n", "")
    newest = rehearsed(1)
    missed = rehearsals.NotStarted(at=NOW, target="rehearsal", why="It is busy.", code="TARGET_BUSY", remedy="Wait.")
    rehearsals.not_started(missed)
    code, said, _ = cli("rehearsals")
    assert code == 0
    assert "On to rehearsal" in said
    assert "could not start: [TARGET_BUSY] It is busy. Wait." in said
    [line] = [one for one in said.splitlines() if one.startswith(newest)]
    assert line.split()[1] == "verified"
    assert json.loads(cli("rehearsals", "--json")[1])["targets"][0]["rehearsals"][0]["id"] == newest
    assert json.loads(cli("rehearsals", "--json", "--target", "other")[1]) == {"targets": [], "missed": []}


def test_rehearsals_are_compared_stage_by_stage(cli: Cli) -> None:
    slow = [
        one.model_copy(update={"seconds": 240.0}) if one.name == "copy" else one for one in reports.verified().stages
    ]
    before, newest = rehearsed(3), rehearsed(1, stages=slow)
    said = cli("rehearsals", "--compare")[1]
    assert [name for name in said.splitlines()[1].split() if name[0] == "2"] == [newest, before]
    [copy] = [" ".join(one.split()) for one in said.splitlines() if "Copy rows" in one and "before" not in one]
    assert copy == "▲ Copy rows 4 min 00 s 24.0 s"
    assert "Copy rows took 4 min 00 s, before 24.0 s, at equal size." in said


def test_readiness_exits_0_only_if_nothing_speaks_against_the_cut_over(cli: Cli) -> None:
    assert cli("readiness")[:2] == (1, "not ready: No rehearsal has ended yet.\n")
    rehearsed(1)
    assert cli("readiness")[:2] == (0, "rehearsal: ready for the cut-over\n")
    rehearsed(0, smoke=[])
    code, said, _ = cli("readiness", "--target", "rehearsal")
    assert (code, said.splitlines()[0]) == (1, "rehearsal: not ready")
    assert "No smoke test was done" in said
    code, said, _ = cli("readiness", "--json")
    assert (code, json.loads(said)["targets"][0]["ready"]) == (1, False)


def test_a_step_of_the_runbook_is_ticked_by_the_key_that_it_prints_and_taken_back(
    cli: Cli, api: ApiServer, tmp_path: Path
) -> None:
    put(api)
    assert cli("runbook", ID)[1].startswith("# ")
    assert cli("runbook", ID, "--out", str(tmp_path / "r.md"))[0] == 0
    key = "switch-dns"
    [row] = [line for line in cli("runbook", ID)[1].splitlines() if "**Switch DNS" in line]
    assert row.endswith(f"| `{key}` |")
    code, said, _ = cli("tick", ID, key, "--by", "Ada", "--comment", "Done.")
    assert (code, f"{ID}: {key} done, says Ada, " in said) == (0, True)
    code, said, _ = cli("tick", ID, key, "--by", "Bob", "--undo")
    assert (code, f"{ID}: {key} not done, says Bob, " in said) == (0, True)
    assert [(one.by, one.done, one.comment) for one in ticks.load(ID)[key]] == [
        ("Ada", True, "Done."),
        ("Bob", False, ""),
    ]
    for step, refused in (
        ("move-rows", "409 Conflict: [NOT_BY_PEOPLE] "),
        ("4", "404 Not found: [UNKNOWN_STEP] "),
        ("../approve", "404 Not found: [UNKNOWN_STEP] "),
    ):
        code, _, complaint = cli("tick", ID, step, "--by", "Ada")
        assert (code, complaint.startswith(refused)) == (3, True), complaint
    assert key in complaint, "the keys of this run"


def test_a_runs_request_can_be_read_and_starts_another_run(cli: Cli, api: ApiServer, tmp_path: Path) -> None:
    put(api)
    code, said, _ = cli("request", ID)
    assert (code, json.loads(said)) == (0, REQUEST)
    (tmp_path / "again.json").write_text(said)
    assert cli("request", "--check", str(tmp_path / "again.json"))[0] == 0
    assert cli("start", str(tmp_path / "again.json"), "--target", "rehearsal", "--rehearsal")[0] == 0
    assert api.engine.scheduled[0][2]["request"]["options"]["purpose"] == "rehearsal"


def test_the_example_of_a_request_is_one_that_may_be_started(cli: Cli, api: ApiServer, tmp_path: Path) -> None:
    example = cli("request", "--example")[1]
    (tmp_path / "example.json").write_text(example)
    assert cli("request", "--check", str(tmp_path / "example.json"))[0] == 0
    assert json.loads(example)["options"] == {"dry_run": True}
    assert cli("start", str(tmp_path / "example.json"))[0] == 0
    assert len(api.engine.scheduled) == 1


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"approval": "yes"}, "  approval: "),
        ({"targets": "demo"}, "  targets: "),
        ({"target_not_empty": "drop"}, 'needs "confirm"'),
        ({"target": "nowhere"}, "  target: expected a profile of the app, found nowhere"),
        ({"source": {"kind": "mendix-cloud", "profile": "none"}}, "  source.profile: expected a profile of the app"),
    ],
)
def test_a_file_that_is_no_request_is_said_field_by_field_and_exits_5(
    cli: Cli, api: ApiServer, tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    (tmp_path / "r.json").write_text(json.dumps(REQUEST | changes))
    code, said, complaint = cli("request", "--check", str(tmp_path / "r.json"))
    assert (code, said, words in complaint) == (5, "", True), complaint
    assert api.engine.scheduled == []


def test_tables_are_shown_with_the_rows_of_the_report(cli: Cli, api: ApiServer) -> None:
    put(api)
    assert "No table is planned yet." in cli("tables", ID)[1]
    put(api, "COMPLETED", {"verdict": "verified"})
    tables = reports.verified().tables
    hostile = [tables[0].model_copy(update={"name": HOSTILE}), *tables[1:]]
    made = reports.verified().model_copy(update={"tables": hostile})
    runs.write(f"runs/{ID}/report.json", made.model_dump_json().encode(), "application/json")
    code, said, _ = cli("tables", ID)
    assert code == 0
    [line] = [one for one in said.splitlines() if one.startswith("a�]0;owned�[red]b")]
    assert " 100 % " in line
    assert json.loads(cli("tables", ID, "--json")[1])["final"] is True


@pytest.mark.parametrize(("severity", "code", "last"), [("info", 0, "ready"), ("error", 1, "not ready")])
def test_setup_says_every_finding_and_exits_0_only_if_everything_is_ready(
    cli: Cli, monkeypatch: pytest.MonkeyPatch, severity: str, code: int, last: str
) -> None:
    """The check of the databases has tests of its own; here it is a double."""
    asked: list[object] = []
    found = Finding.model_validate({"code": "DB", "severity": severity, "object": "demo", "message": "found it so."})
    monkeypatch.setattr("api.setup.check_databases", lambda _, group: asked.append(group) or [found])
    ended, said, _ = cli("setup", "--administrators", "dba")
    assert (ended, said.splitlines()) == (code, [f"{severity}: [DB] demo: found it so.", last])
    assert asked == ["dba"]
    ended, said, _ = cli("setup", "--json")
    assert (ended, SetupView.model_validate_json(said).ready) == (code, code == 0)


def test_a_list_is_read_by_a_machine_too(cli: Cli, api: ApiServer) -> None:
    put(api)
    assert [one["id"] for one in json.loads(cli("list", "--json")[1])["items"]] == [ID]
