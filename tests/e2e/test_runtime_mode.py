"""Target mode `runtime` on the whole stack: a double of the runtime copies the rows, by the settings of the API alone."""

from pathlib import Path

from local.stack import DATABASE, SQL_LOGIN
from shared.postgres.connection import database_name
from tests.e2e.stand import Stand
from tests.fixtures.runtimedouble import RuntimeDouble
from tests.fixtures.sqlserver import odbc_driver

REQUEST = {"target_mode": "runtime", "verify": ["counts", "aggregates", "hash"]}


def odbc(running: Stand) -> str:
    facts = {
        "DRIVER": odbc_driver(), "SERVER": f"127.0.0.1,{running.stack.state.ports['sqlserver']}", "DATABASE": DATABASE,
        "UID": SQL_LOGIN, "PWD": running.stack.state.secrets.sql_login, "Encrypt": "yes", "TrustServerCertificate": "yes",
    }  # fmt: skip
    return ";".join(f"{name}={{{value}}}" for name, value in facts.items())


def holding(folder: Path, secret: bytes) -> list[str]:
    """The files below a folder that hold the secret, those of the source database's own server left out."""
    files = (one for one in folder.rglob("*") if one.is_file() and "postgres" not in one.relative_to(folder).parts[:1])
    return [str(one.relative_to(folder)) for one in files if secret in one.read_bytes()]


def test_the_runtime_copies_the_rows_by_our_settings_and_every_one_is_verified(running: Stand) -> None:
    run = running.start(options=REQUEST, drop=True)
    seen = running.wait(run, lambda view: view.progress.gate is not None)
    assert (seen.status, seen.progress.gate and seen.progress.gate.name) == ("waiting", "started")
    assert running.target_tables() == []
    found = running.api.source_settings(run, "Ada")
    password = found.settings["SourceDatabasePassword"]
    environment = dict(line.split("=", 1) for line in found.environment.splitlines())
    RuntimeDouble(environment, odbc(running)).start()
    running.api.decide(run, "approve", "Ada", "The log says that it has started.")
    assert running.end(run).verdict == "verified", running.api.show(run).reason
    report = running.report(run)
    outcomes = {one.name: one.outcome for one in report.checks}
    assert (outcomes["row hash"], outcomes["object ids"], outcomes["AutoNumbers"]) == ("passed", "passed", "passed")
    assert outcomes["what a started app changes"] == "skipped"
    codes = {one.code: one for one in report.findings}
    assert "Ada" in codes["SOURCE_PASSWORD_HANDED_OUT"].examples[0]
    assert "SOURCE_SETTINGS_TO_REMOVE" in codes
    assert [(one.name, one.decision, one.decided_by) for one in report.gates] == [("started", "approved", "Ada")]
    assert report.files.copied == report.files.expected > 0
    assert any("Dropped the login" in one for one in report.cleanup), report.cleanup
    assert database_name(run) not in running.temporary_databases()
    assert holding(running.stack.folder, password.encode()) == [], "the password lies nowhere"
