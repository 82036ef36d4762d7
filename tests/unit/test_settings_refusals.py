"""Settings that are missing, wrong or misspelt are refused at start, with a sentence that names them."""

from collections.abc import Iterator

import pytest

from shared.errors import Refusal
from shared.settings import Settings, settings

COMPLETE = {
    "STAGING__ACCOUNT_URL": "https://staging.example",
    "POSTGRES__HOST": "pg.example",
    "POSTGRES__USER": "app",
    "TARGET__PRODUCTION__SQL__SERVER": "sql.example",
    "TARGET__PRODUCTION__SQL__DATABASE": "app",
    "TARGET__PRODUCTION__BLOB__ACCOUNT_URL": "https://files.example",
    "TARGET__PRODUCTION__BLOB__CONTAINER": "files",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    import os

    for name in list(os.environ):
        if name.upper().partition("__")[0] in {field.upper() for field in Settings.model_fields}:
            monkeypatch.delenv(name)
    for name, value in COMPLETE.items():
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    yield monkeypatch
    settings.cache_clear()


def refusal() -> str:
    with pytest.raises(Refusal) as caught:
        settings()
    assert caught.value.code == "SETTINGS_INVALID"
    return str(caught.value)


def test_complete_settings_are_taken() -> None:
    assert settings().target_profile("production").blob.container == "files"


@pytest.mark.parametrize("name", ["STAGING__ACCOUNT_URL", "POSTGRES__USER", "TARGET__PRODUCTION__SQL__DATABASE"])
def test_a_missing_setting_is_named(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.delenv(name)
    assert name.removesuffix("__ACCOUNT_URL") in refusal()


def test_everything_that_is_wrong_is_said_at_once(environment: pytest.MonkeyPatch) -> None:
    environment.delenv("POSTGRES__HOST")
    environment.setenv("TARGET__PRODUCTION__MAX_PARALLEL_CHUNKS", "1000")
    environment.setenv("ALOW_HTTP_SOURCES", "true")
    text = refusal()
    assert "POSTGRES__HOST: missing" in text
    assert "MAX_PARALLEL_CHUNKS" in text
    assert "did you mean ALLOW_HTTP_SOURCES?" in text


@pytest.mark.parametrize(
    "name", ["TARGET__PRODUCTION__SQL__SERVRE", "STAGING__CONTANER", "POSTGRES__HOSTNAME", "REHEARSAL__ENABELD"]
)
def test_an_unknown_name_inside_a_section_is_refused(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "x")
    assert f"{name}: unknown" in refusal()


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("TARGTE__PRODUCTION__KIND", "TARGET__PRODUCTION__KIND"),
        ("TARGETS__PRODUCTION__KIND", "TARGET__PRODUCTION__KIND"),
        ("SOURCES__MENDIX__BLOB__ACCOUNT_URL", "SOURCE__MENDIX__BLOB__ACCOUNT_URL"),
        ("AZURE_CLIENTID", "AZURE_CLIENT_ID"),
        ("KEEP_DAY", "KEEP_DAYS"),
    ],
)
def test_a_name_that_is_nearly_ours_is_refused(environment: pytest.MonkeyPatch, name: str, meant: str) -> None:
    environment.setenv(name, "x")
    assert f"{name}: unknown, did you mean {meant}?" in refusal()


@pytest.mark.parametrize(
    "name", ["AZURE_TENANT_ID", "AZURE_CLIENT_SECRET", "POSTGRES_PASSWORD", "HOME", "WEBSITE_SITE_NAME", "PGHOST"]
)
def test_other_peoples_names_are_left_alone(environment: pytest.MonkeyPatch, name: str) -> None:
    environment.setenv(name, "x")
    assert settings().staging.account_url == "https://staging.example"


def test_a_target_without_its_database_is_refused_with_the_names_it_needs(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("TARGET__PRODUCTION__KIND", "postgres")
    assert "TARGET__<NAME>__POSTGRES__HOST" in refusal()


@pytest.mark.parametrize("name", ["TARGET", "STAGING", "POSTGRES"])
def test_a_section_that_is_set_like_a_single_setting_is_refused_by_name(
    environment: pytest.MonkeyPatch, name: str
) -> None:
    environment.setenv(name, "a-value-that-is-no-json")
    text = refusal()
    assert f"{name}: expected names below it" in text
    assert "no-json" not in text


def test_a_refusal_never_shows_a_value(environment: pytest.MonkeyPatch) -> None:
    environment.setenv("STAGING__CONNECTION_STRING", "AccountKey=very-secret")
    environment.setenv("POSTGRES__PORT", "not-a-port-but-a-password")
    text = refusal()
    assert "very-secret" not in text
    assert "not-a-port" not in text


SIGN_IN = {"ADDRESS": "https://app.example.org/", "SMOKE_USER": "smoke", "SMOKE_PASSWORD": "a password"}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"SMOKE_PASSWORD": ""}, "signed in need APP__SMOKE_PASSWORD too"),
        ({"ADDRESS": "", "SMOKE_USER": ""}, "signed in need APP__ADDRESS, APP__SMOKE_USER too"),
        ({"ADDRESS": "http://app.example.org"}, "expected https in APP__ADDRESS"),
        ({"ADDRESS": "https://app.example.org/path"}, "expected scheme, host and port only"),
        ({"ADDRESS": "https://me@app.example.org"}, "expected scheme, host and port only"),
        ({"ADDRESS": "app.example.org"}, "expected scheme, host and port only"),
    ],
)
def test_a_sign_in_for_smoke_checks_is_complete_and_of_one_encrypted_origin(
    environment: pytest.MonkeyPatch, changes: dict[str, str], words: str
) -> None:
    for name, value in (SIGN_IN | changes).items():
        environment.setenv(f"TARGET__PRODUCTION__APP__{name}", value)
    assert words in refusal()


def test_the_address_of_an_app_has_no_slash_at_its_end(environment: pytest.MonkeyPatch) -> None:
    for name, value in SIGN_IN.items():
        environment.setenv(f"TARGET__PRODUCTION__APP__{name}", value)
    app = settings().target_profile("production").app
    assert app is not None
    assert app.address == "https://app.example.org"
