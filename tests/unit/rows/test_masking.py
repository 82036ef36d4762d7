"""The key of a run's masks: from a setting, another one for each run, and nowhere else."""

import pytest

from shared import masking
from shared.errors import Refusal
from shared.request import MigrationRequest
from shared.settings import settings

RUN, OTHER = "run_20261128t200000_abc123", "run_20261128t200000_abc124"
SECRET = "sixteen letters at least"


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    for name, value in {
        "STAGING__ACCOUNT_URL": "https://x.blob.core.windows.net", "POSTGRES__HOST": "h", "POSTGRES__USER": "u",
        "TARGET__DEMO__SQL__SERVER": "s", "TARGET__DEMO__SQL__DATABASE": "d",
        "TARGET__DEMO__BLOB__ACCOUNT_URL": "https://y.blob.core.windows.net", "TARGET__DEMO__BLOB__CONTAINER": "c",
        "MASK_SECRET": SECRET,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    settings.cache_clear()
    return monkeypatch


def request(*masks: dict[str, str]) -> MigrationRequest:
    source = {"kind": "blob", "container": "backups", "blob": "b"}
    return MigrationRequest.model_validate({"source": source, "target": "demo", "options": {"masks": list(masks)}})


MASK = {"table": "crm$customer", "column": "email", "how": "email"}


def test_each_run_has_a_key_of_its_own_that_is_the_same_whenever_it_is_drawn() -> None:
    assert masking.key_of(RUN) == masking.key_of(RUN) != masking.key_of(OTHER)


def test_another_secret_gives_another_key(environment: pytest.MonkeyPatch) -> None:
    before = masking.key_of(RUN)
    environment.setenv("MASK_SECRET", "quite another secret")
    settings.cache_clear()
    assert masking.key_of(RUN) != before


def test_a_session_gets_the_key_only_where_the_run_masks_something() -> None:
    assert masking.of_database(RUN, request()) == {}
    assert masking.of_dump(RUN, request()) == b""
    assert set(masking.of_database(RUN, request(MASK))) == {"mxferry.mask_inner", "mxferry.mask_outer"}
    assert masking.of_dump(RUN, request(MASK)) == masking.key_of(RUN)


def test_masks_without_the_setting_are_an_error_of_preflight_and_of_whoever_masks(
    environment: pytest.MonkeyPatch,
) -> None:
    environment.delenv("MASK_SECRET")
    settings.cache_clear()
    assert masking.check(request()) == []
    assert masking.of_database(RUN, request()) == {}
    (finding,) = masking.check(request(MASK))
    assert (finding.code, finding.severity) == ("MASK_SECRET_MISSING", "error")
    with pytest.raises(Refusal, match="MASK_SECRET_MISSING"):
        masking.of_database(RUN, request(MASK))
