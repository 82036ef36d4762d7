"""host.json, local.settings.json and the host's keys."""

import json
import logging
import os
import stat
from pathlib import Path

import pytest

from local.host.keys import Keys
from local.host.settings import HostError, load_app_settings, load_host_settings, time_span

ROOT = Path(__file__).resolve().parents[3]


def host_json(folder: Path, **sections: object) -> Path:
    path = folder / "host.json"
    path.write_text(json.dumps({"version": "2.0", **sections}))
    return path


def test_activities_leave_threads_of_the_pool_to_the_orchestrators(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = host_json(tmp_path, extensions={"durableTask": {"maxConcurrentActivityFunctions": 50}})
    monkeypatch.setenv("PYTHON_THREADPOOL_THREAD_COUNT", "12")
    assert load_host_settings(path).most_activities == 10
    monkeypatch.setenv("PYTHON_THREADPOOL_THREAD_COUNT", "64")
    assert load_host_settings(path).most_activities == 50


def test_the_hub_s_name_comes_from_the_app_setting_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = host_json(tmp_path, extensions={"durableTask": {"hubName": "%MY_HUB%"}})
    with pytest.raises(HostError, match="'%MY_HUB%' needs the app setting MY_HUB, which is not set"):
        load_host_settings(path)
    monkeypatch.setenv("MY_HUB", "ferry")
    assert load_host_settings(path).task_hub == "ferry"


def test_a_setting_may_stand_for_a_value_of_host_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AzureFunctionsJobHost__extensions__durableTask__maxConcurrentActivityFunctions", "3")
    monkeypatch.setenv("PYTHON_THREADPOOL_THREAD_COUNT", "12")
    monkeypatch.setenv("AzureFunctionsJobHost__logging__logLevel__default", "Error")
    found = load_host_settings(host_json(tmp_path))
    assert (found.most_activities, found.log_level) == (3, logging.ERROR)


def test_local_settings_fill_the_environment_and_never_override_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ALREADY_THERE", "kept")
    monkeypatch.delenv("BRAND_NEW", raising=False)
    path = tmp_path / "local.settings.json"
    path.write_text(json.dumps({"Values": {"ALREADY_THERE": "lost", "BRAND_NEW": "set"}}))
    with monkeypatch.context() as patched:
        patched.setattr("os.environ", {"ALREADY_THERE": "kept"})
        load_app_settings(path)
        assert os.environ == {"ALREADY_THERE": "kept", "BRAND_NEW": "set"}


def test_a_host_json_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    path.write_text('{"version": "3.0"}')
    with pytest.raises(HostError, match=r'expected "version": "2.0", found \'3.0\''):
        load_host_settings(path)


@pytest.mark.parametrize(
    ("text", "seconds"), [("00:30:00", 1800), ("1.00:00:05", 86405), ("-1", 0), ("soon", None), ("0 0 * * * *", None)]
)
def test_time_spans_are_read_as_dotnet_writes_them(text: str, seconds: float | None) -> None:
    assert time_span(text) == seconds


def test_the_project_s_own_host_json_is_one_this_host_and_azure_take(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TASKHUB_NAME", "mxferry")
    monkeypatch.setenv("PYTHON_THREADPOOL_THREAD_COUNT", "16")
    found = load_host_settings(ROOT / "host.json")
    assert (found.route_prefix, found.task_hub, found.function_timeout) == ("api", "mxferry", 7200)
    assert found.most_activities == 8
    assert found.log_level == logging.INFO
    document = json.loads((ROOT / "host.json").read_text())
    assert document["extensionBundle"] == {
        "id": "Microsoft.Azure.Functions.ExtensionBundle",
        "version": "[4.38.1, 5.0.0)",
    }
    example = json.loads((ROOT / "local.settings.example.json").read_text())["Values"]
    assert int(example["PYTHON_THREADPOOL_THREAD_COUNT"]) >= found.most_activities + 2


def test_keys_are_made_once_kept_and_readable_by_their_owner_only(tmp_path: Path) -> None:
    first = Keys(tmp_path)
    key = first.function_key_file.read_text().strip()
    assert len(key) >= 32
    assert stat.S_IMODE(first.function_key_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(first.admin_key_file.stat().st_mode) == 0o600
    assert Keys(tmp_path).allow("function", key)


def test_a_given_function_key_replaces_the_one_on_disk(tmp_path: Path) -> None:
    Keys(tmp_path)
    keys = Keys(tmp_path, "given-key")
    assert keys.allow("function", "given-key")
    assert keys.function_key_file.read_text() == "given-key\n"


def test_each_level_opens_with_its_key_and_the_admin_key_opens_all(tmp_path: Path) -> None:
    keys = Keys(tmp_path, "function-key")
    admin = keys.admin_key_file.read_text().strip()
    assert keys.allow("anonymous", "")
    assert keys.allow("ANONYMOUS", "wrong")
    assert not keys.allow("function", "")
    assert not keys.allow("FUNCTION", "wrøng")
    assert keys.allow("FUNCTION", "function-key")
    assert keys.allow("function", admin)
    assert not keys.allow("admin", "function-key")
    assert keys.allow("admin", admin)
