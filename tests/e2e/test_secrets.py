"""No secret in what a run leaves behind: the engine's database, logs, reports, HTTP answers, whatever the run's end."""

import base64
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import parse_qs, quote, quote_plus, urlsplit

import httpx
import pytest
from azure.storage.blob import BlobSasPermissions, generate_blob_sas

from local.stack import BACKUPS
from tests.e2e.comparison import archive_files
from tests.e2e.stand import Stand

SIGNATURE = "0a1b2c3d4e5f60718293a4b5c6d7e8f9deadbeefcafe0123456789abcdef0123"
WITH_DATA = {"azurite", "postgres", "store"}
"""Folders of servers that hold data: production rows, and by design the secrets that open them. Their logs are read."""


@pytest.fixture(scope="module")
def signed(running: Stand) -> str:
    """A URL of the backup that a shared access signature has signed."""
    blob = running.blobs.get_blob_client(BACKUPS, running.snapshot.name)
    query = generate_blob_sas(
        blob.account_name, BACKUPS, running.snapshot.name, account_key=running.stack.state.secrets.account_key,
        permission=BlobSasPermissions(read=True), expiry=datetime.now(UTC) + timedelta(hours=1),
    )  # fmt: skip
    return f"{blob.url}?{query}"


def signed_in(running: Stand) -> dict[str, object]:
    """Smoke checks that the target app's user is signed in for: a page and a document."""
    address, blob = running.stack.facts["targetapp"]["address"], next(iter(archive_files(running.snapshot)))
    return {
        "http": [{"name": "home", "url": f"{address}/", "signed_in": True}],
        "documents": [{"name": "file", "url": f"{address}/file?guid={blob}", "blob": blob, "signed_in": True}],
    }


@pytest.fixture(scope="module")
def answers(running: Stand, signed: str) -> dict[str, bytes]:
    """HTTP answers of three runs: from a signed URL up to the target, refused from an expired one, from the cloud up to an
    app that somebody is signed in to."""
    cloud = str(running.stack.facts["mendixcloud"]["deploy_url"]).removesuffix("/api/1")
    expired = f"{cloud}/download/gone/backup.tar.gz?X-Amz-Expires=60&X-Amz-Signature={SIGNATURE}"
    verdicts = [
        running.migrate(source={"kind": "url", "url": signed}, options={"dry_run": True}).verdict,
        running.migrate(source={"kind": "url", "url": expired}).verdict,
        running.migrate(source=running.from_cloud, smoke=signed_in(running)).verdict,
    ]
    assert verdicts == ["planned", "refused", "verified"]
    paths = ["health", "openapi.json", "profiles", "migrations", "rehearsals", "ui"]
    for run in running.runs:
        paths += [f"migrations/{run}", f"migrations/{run}/report", f"migrations/{run}/runbook"]
    headers = {"x-functions-key": running.stack.function_key}
    found = {}
    with httpx.Client(base_url=f"{running.stack.url}/api/", headers=headers, timeout=30) as client:
        for path in paths:
            for accept in ("application/json", "text/html", "text/markdown"):
                answer = client.get(path, headers={"Accept": accept})
                assert answer.status_code == 200, path
                found[f"{path} as {accept}"] = answer.content + json.dumps(dict(answer.headers)).encode()
    return found


@pytest.fixture(scope="module")
def forbidden(running: Stand, signed: str) -> dict[str, bytes]:
    """Every form of every secret in use, by what to call it in a failure."""
    secrets = dict(vars(running.stack.state.secrets))
    secrets["sign-in of the target app"] = f"{running.stack.facts['targetapp']['user']}:{secrets['app_user']}"
    secrets |= {"function key": running.stack.function_key, "signature of the expired URL": SIGNATURE}
    secrets["signature of the URL"] = parse_qs(urlsplit(signed).query)["sig"][0]
    forms = {}
    for name, secret in secrets.items():
        assert len(secret) >= 20, name
        forms |= {
            name: secret.encode(), f"{name} (quoted)": quote(secret, safe="").encode(),
            f"{name} (form)": quote_plus(secret).encode(), f"{name} (JSON)": json.dumps(secret)[1:-1].encode(),
            f"{name} (base64)": base64.b64encode(secret.encode()).rstrip(b"="),
            f"{name} (UTF-16)": secret.encode("utf-16-le"),
        }  # fmt: skip
    return forms


def leaks(where: str, content: bytes, forbidden: dict[str, bytes]) -> list[str]:
    """What of the forbidden is in the content."""
    return [f"{name} in {where}" for name, secret in forbidden.items() if secret in content]


def left_files(running: Stand) -> list[Path]:
    """Logs, output and the engine's state of the stack; not the data of its servers, not its own key files."""
    folder = running.stack.folder
    logs = [path for path in folder.rglob("*") if path.suffix in (".log", ".out")]
    engine = [path for path in (folder / "host").rglob("*") if path.is_file() and path.suffix != ".key"]
    return sorted({*logs, *engine})


def test_logs_and_the_engines_database_hold_none(
    running: Stand, answers: dict[str, bytes], forbidden: dict[str, bytes]
) -> None:
    files = left_files(running)
    names = {path.name for path in files}
    assert {"host.log", "sqlserver.log", "mendixcloud.log", "targetapp.log", "engine.db"} <= names
    assert any(path.parent.name in WITH_DATA and path.suffix == ".log" for path in files)
    content = {path: path.read_bytes() for path in files}
    assert any(running.runs[0].encode() in text for path, text in content.items() if path.name.startswith("engine.db"))
    assert any(running.runs[0].encode() in text for path, text in content.items() if path.name == "host.log")
    assert [leak for path, text in content.items() for leak in leaks(path.name, text, forbidden)] == []


def test_reports_and_records_hold_none(running: Stand, answers: dict[str, bytes], forbidden: dict[str, bytes]) -> None:
    blobs = running.written()
    assert {f"runs/{run}/report.json" for run in running.runs} <= blobs.keys()
    assert [leak for name, content in blobs.items() for leak in leaks(name, content, forbidden)] == []


def test_http_answers_hold_none(answers: dict[str, bytes], forbidden: dict[str, bytes]) -> None:
    assert any(b"SOURCE_URL" in content or b"SOURCE_MISSING" in content for content in answers.values())
    assert [leak for path, content in answers.items() for leak in leaks(path, content, forbidden)] == []


def test_staging_keeps_no_url_after_a_run(running: Stand, answers: dict[str, bytes]) -> None:
    assert answers
    assert [running.staged(run) for run in running.runs] == [[], [], []]


def test_the_search_finds_a_secret_in_each_of_its_forms(forbidden: dict[str, bytes]) -> None:
    for name, secret in forbidden.items():
        assert any(leak.startswith(name) for leak in leaks("here", b"before " + secret + b" after", forbidden))
