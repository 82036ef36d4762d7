"""The forms in which a runtime's SourceDatabase settings are given out."""

import json
import shlex
from typing import Any

import pytest
from pydantic import SecretStr

from shared.mendix import handover
from shared.mendix.handover import Source, in_all_forms
from shared.settings import Application, Postgres

# https://docs.mendix.com/refguide/custom-settings/#migration-settings; SourceDatabaseJdbcUrl is not for PostgreSQL.
DOCUMENTED = {
    "SourceDatabaseType": "POSTGRESQL",
    "SourceDatabaseHost": "pg.example.org:5432",
    "SourceDatabaseName": "run_x",
    "SourceDatabaseUserName": "run_x_reader",
    "SourceDatabasePassword": "s3cret",
    "SourceDatabaseUseSsl": "true",
}
SITE = "/subscriptions/s/resourceGroups/shop-rg/providers/Microsoft.Web/sites/shop"


def source(**changes: Any) -> Source:
    server = Postgres.model_validate({"host": "pg.example.org", "user": "app", **changes})
    return Source(server, "run_x", "run_x_reader", "s3cret")


def test_the_settings_have_the_documented_names_and_values() -> None:
    assert source().settings() == DOCUMENTED
    assert source(sslmode="disable").settings()["SourceDatabaseUseSsl"] == "false"
    assert source(host="fd00::7", port=6432).settings()["SourceDatabaseHost"] == "[fd00::7]:6432"


def test_environment_variables_have_the_prefix_and_no_dots() -> None:
    lines = in_all_forms("r", source(), None, password=True).environment.splitlines()
    assert lines[0] == "MXRUNTIME_SourceDatabaseType=POSTGRESQL"
    assert dict(line.split("=", 1) for line in lines) == {f"MXRUNTIME_{k}": v for k, v in DOCUMENTED.items()}
    assert handover.environment_name("com.mendix.core.StorageService") == "MXRUNTIME_com_mendix_core_StorageService"


def documents(text: str) -> list[Any]:
    """The JSON documents that stand between the lines of a shell script."""
    return [json.loads(part.split("\nEND", 1)[0]) for part in text.split("<<'END'\n")[1:]]


def test_a_deployment_gets_the_password_by_reference_to_a_secret() -> None:
    app = Application(kind="kubernetes", server="https://k", name="shop", namespace="mx", token=SecretStr("t"))
    text = in_all_forms("r", source(), app, password=True).kubernetes
    secret, patch = documents(text)
    assert (secret["kind"], secret["stringData"]) == ("Secret", {"password": "s3cret"})
    (container,) = patch["spec"]["template"]["spec"]["containers"]
    variables = {one["name"]: one.get("value") or one["valueFrom"] for one in container["env"]}
    reference = {"secretKeyRef": {"name": secret["metadata"]["name"], "key": "password"}}
    assert variables.pop("MXRUNTIME_SourceDatabasePassword") == reference
    assert variables == {f"MXRUNTIME_{k}": v for k, v in DOCUMENTED.items() if k != "SourceDatabasePassword"}
    assert "kubectl -n mx patch deployment shop --type strategic" in text
    assert "s3cret" not in json.dumps(patch)


def test_the_removal_patch_names_every_variable_that_was_added() -> None:
    added = handover.deployment_patch(DOCUMENTED, "mendix")["spec"]["template"]["spec"]["containers"][0]
    removed = handover.deployment_removal("mendix")["spec"]["template"]["spec"]["containers"][0]
    assert {one["name"] for one in removed["env"]} == {one["name"] for one in added["env"]}
    assert {one["$patch"] for one in removed["env"]} == {"delete"}


def test_a_mendix_app_keeps_its_other_custom_settings() -> None:
    (patch,) = documents(in_all_forms("r", source(), None, password=True).mendix_operator)
    assert json.loads(patch["spec"]["runtime"]["customConfiguration"]) == DOCUMENTED
    mine = '{"ApplicationRootUrl": "https://x", "SourceDatabaseType": "HSQLDB"}'
    both = handover.with_custom_configuration(mine, DOCUMENTED)
    assert json.loads(both) == {"ApplicationRootUrl": "https://x", **DOCUMENTED}
    assert json.loads(handover.without_custom_configuration(both)) == {"ApplicationRootUrl": "https://x"}
    assert json.loads(handover.without_custom_configuration(None)) == {}


def test_commands_for_azure_are_words_a_shell_reads_back() -> None:
    app = Application(kind="azure", resource_id=SITE)
    text = in_all_forms("r", source(), app, password=True).azure
    site, containers = text.split("# Container App\n")
    words = shlex.split(site.replace("# App Service\n", "").replace("\\\n", ""))
    assert words[:9] == ["az", "webapp", "config", "appsettings", "set", "-g", "shop-rg", "-n", "shop"]
    assert words[10:] == [f"MXRUNTIME_{name}={value}" for name, value in DOCUMENTED.items()]
    secret, update = containers.split("\naz containerapp update", 1)
    assert "s3cret" in secret
    assert "s3cret" not in update
    assert "MXRUNTIME_SourceDatabasePassword=secretref:mxferry-source-password" in shlex.split(update)


def test_the_console_text_has_one_setting_a_line() -> None:
    text = in_all_forms("r", source(), None, password=True).console
    assert text.splitlines() == [f"{name}={value}" for name, value in DOCUMENTED.items()]


@pytest.mark.parametrize("app", [None, Application(kind="azure", resource_id=SITE)])
def test_without_a_password_the_forms_say_where_it_goes(app: Application | None) -> None:
    server = Postgres(host="pg.example.org", user="app")
    forms = in_all_forms("r", Source(server, "run_x", "run_x_reader"), app, password=False)
    assert not forms.password_included
    assert forms.settings["SourceDatabasePassword"] == "<password>"
    for name in ("environment", "kubernetes", "mendix_operator", "azure", "console"):
        assert "<password>" in getattr(forms, name), name
    assert all(name in forms.removal for name in DOCUMENTED)
