"""Four places name the settings: the models, infra/, local.settings.example.json and docs/settings.md. All say the same."""

import json
import re

import pytest

from local.settings_page import PAGE, all_settings, page
from shared.settingnames import HOST_SETTINGS
from shared.settings import Settings, settings
from tests.unit.infra.bicepfiles import INFRA, ROOT, Node, read, text, walk

CODE = {one.name for one in all_settings()}
AZURE = {one.name for one in all_settings() if one.where == "Azure"}
EXAMPLE = json.loads((ROOT / "local.settings.example.json").read_text())
# Core Tools want these two on one machine; on Flex Consumption they are refused or replaced by the identity's settings.
ONE_MACHINE = {"FUNCTIONS_WORKER_RUNTIME", "AzureWebJobsStorage"}


def written_by_bicep() -> set[str]:
    """Names of the app settings that main.bicep hands to the function app, `<NAME>` for the names of profiles."""
    main = read(INFRA / "main.bicep")
    given = main.modules["functions"].property("params", "appSettings")
    assert given is not None
    parts = [text(node) for node in walk(given) if node.type == "identifier" and text(node) != "union"]
    plain = {name for part in parts if part != "profileSettings" for name in keys(main.variables[part])}
    return plain | {f"{kind}__<NAME>__{name}" for kind, maker in PROFILES.items() for name in keys(made_by(maker))}


PROFILES = {"TARGET": "targetSettings", "SOURCE": "sourceSettings", "NOTIFY": "channelSettings"}


def made_by(function: str) -> Node:
    """The expression of a function of profiles.bicep."""
    return read(INFRA / "profiles.bicep").functions[function].body


def keys(node: Node) -> list[str]:
    """Names of the properties in an expression, and in the functions that it calls."""
    functions = read(INFRA / "profiles.bicep").functions
    names = [text(one.children[0]) for one in walk(node) if one.type == "object_property"]
    for one in walk(node):
        if one.type == "call_expression" and text(one.children[0]) in functions:
            names += keys(functions[text(one.children[0])].body)
    return names


def general(name: str) -> str:
    return re.sub(r"^(TARGET|SOURCE|NOTIFY)__[A-Z]+__", r"\1__<NAME>__", name)


def test_infra_writes_exactly_the_settings_that_code_and_host_read() -> None:
    assert written_by_bicep() == AZURE | set(HOST_SETTINGS)


def test_the_prefix_of_a_profile_is_its_name_in_upper_case() -> None:
    assert "'${kind}__${toUpper(replace(name, '-', '_'))}__${entry.key}'" in text(made_by("prefixed"))
    for kind, maker in PROFILES.items():
        assert re.match(rf"prefixed\(\s*'{kind}',\s*\w+\.name,", text(made_by(maker))), kind


def test_a_setting_without_a_value_is_left_out() -> None:
    """An app setting that is empty is not an absent one: a number would be refused at start."""
    assert "filter(items(settings), entry => entry.value != null)" in text(made_by("prefixed"))


def test_the_example_names_exactly_the_settings_that_the_code_reads() -> None:
    named = {general(name) for part in ("Values", "Alternatives") for name in EXAMPLE[part]}
    assert named - set(HOST_SETTINGS) - ONE_MACHINE == CODE


def test_a_name_of_the_example_is_either_a_value_or_an_alternative() -> None:
    assert set(EXAMPLE["Values"]) & set(EXAMPLE["Alternatives"]) == set()


def test_the_page_names_exactly_the_settings_of_code_and_host() -> None:
    named = set(re.findall(r"^\| `([^`]+)` \|", PAGE.read_text(), re.MULTILINE))
    assert named == CODE | set(HOST_SETTINGS)


def test_the_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_setting_says_what_it_means() -> None:
    assert [one.name for one in all_settings() if len(one.text) < 8] == []


def test_secrets_are_written_as_key_vault_references_only() -> None:
    files = "\n".join((INFRA / name).read_text() for name in ("main.bicep", "profiles.bicep"))
    assert "'@Microsoft.KeyVault(SecretUri=${made.vaultUri}secrets/${secretName}/)'" in text(made_by("secretReference"))
    for one in all_settings():
        if one.secret and one.where == "Azure":
            ending = one.name.rpartition("<NAME>__")[2]
            value = re.search(rf"^ *{ending}: (.*(?:\n.*\?.*)?(?:\n.*: .*)?)", files, re.MULTILINE)
            assert value is not None, one.name
            assert re.search(r"secretReference\(made, |'@Microsoft\.KeyVault\(SecretUri=", value[1]), one.name


def test_the_limit_of_activities_is_below_the_workers_threads() -> None:
    host = json.loads((ROOT / "host.json").read_text())
    activities = host["extensions"]["durableTask"]["maxConcurrentActivityFunctions"]
    threads = read(INFRA / "main.bicep").parameters["workerThreads"]
    assert threads.default is not None
    least = threads.number("minValue")
    assert least is not None
    assert activities < least <= int(text(threads.default))
    assert activities < int(EXAMPLE["Values"]["PYTHON_THREADPOOL_THREAD_COUNT"])
    assert host["extensions"]["durableTask"]["hubName"] == "%TASKHUB_NAME%"


def test_sampling_leaves_the_migrations_own_events_alone() -> None:
    sampling = json.loads((ROOT / "host.json").read_text())["logging"]["applicationInsights"]["samplingSettings"]
    assert not sampling["isEnabled"] or "Trace" in sampling["excludedTypes"].split(";")


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """No setting of ours is left in the environment, and none is cached."""
    import os

    for name in list(os.environ):
        if name.upper().partition("__")[0] in {field.upper() for field in Settings.model_fields}:
            monkeypatch.delenv(name)
    settings.cache_clear()
    return monkeypatch


def test_the_examples_values_are_valid_settings(environment: pytest.MonkeyPatch) -> None:
    for name, value in EXAMPLE["Values"].items():
        environment.setenv(name, value)
    found = settings()
    settings.cache_clear()
    assert set(found.target) == {"rehearsal"}
    assert set(found.source) == {"uploads", "mendix"}


@pytest.mark.parametrize("kind", ["sqlserver", "postgres"])
def test_what_infra_writes_are_valid_settings(environment: pytest.MonkeyPatch, kind: str) -> None:
    values = {"number": "70000", "text": "https://x.blob.core.windows.net/", "secret": "a secret"}
    fixed = {
        "REHEARSAL_SCHEDULE": "0 0 2 * * 6", "TELL_SCHEDULE": "0 * * * * *", "TARGET__<NAME>__KIND": kind, "KEEP_DAYS": "3", "MASK_SECRET": "a secret of length",
        "NOTIFY__<NAME>__EVENTS": "verified, failed", "NOTIFY__<NAME>__URL": "https://hooks.example.org/x",
        "TARGET__<NAME>__APP__URL": "https://hooks.example.org/y",
    }  # fmt: skip
    unused = "TARGET__<NAME>__POSTGRES__" if kind == "sqlserver" else "TARGET__<NAME>__SQL__"
    for one in all_settings():
        if one.where != "Azure" or one.name.startswith(unused):
            continue
        kind_of = one.kind.split(" ")[0]
        value = fixed.get(one.name) or values.get(kind_of) or kind_of.strip("`")
        if any(word in one.name for word in ("PORT", "PARALLEL", "REPLICAS", "PATIENCE")):
            value = "8"
        # Bicep's string(true) is 'True'.
        environment.setenv(one.name.replace("<NAME>", "PRODUCTION"), value.capitalize() if value == "true" else value)
    found = settings()
    settings.cache_clear()
    assert found.target_profile("production").kind == kind
