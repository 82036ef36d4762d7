"""The last step of a deployment, run with an `az` that writes down what it is asked: the door of the runner is closed."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.unit.infra.bicepfiles import ROOT

SCRIPT = ROOT / ".github" / "scripts" / "close-door.sh"
APP = "/subscriptions/s/resourceGroups/rg-mxferry/providers/Microsoft.Web/sites/mxf-rehearsal-app"
AZ = """#!/bin/sh
if [ "$1 $2" = "resource list" ]; then echo "$FOUND"; fi
printf '%s\\n' "$@" END >> "$ASKED"
"""


def closed(folder: Path, own: list[str], *, public: str = "false", found: str = APP, uri: str = "") -> list[list[str]]:
    """Run the step; return the arguments of every `az` that it called."""
    (folder / "az").write_text(AZ)
    (folder / "az").chmod(0o755)
    asked = folder / "asked"
    asked.write_text("")
    environment = {
        "PATH": f"{folder}:{os.environ['PATH']}", "ASKED": str(asked), "FOUND": found, "RESOURCE_GROUP": "rg-mxferry",
        "ENVIRONMENT": "rehearsal", "OWN": json.dumps(own), "PUBLIC": public, "URI": uri, "TRIES": "1", "PAUSE": "0",
    }  # fmt: skip
    subprocess.run([SCRIPT], env=environment, check=True, capture_output=True)
    return [call.strip().splitlines() for call in asked.read_text().split("END\n") if call.strip()]


def body_of(call: list[str]) -> dict[str, object]:
    properties: dict[str, object] = json.loads(call[call.index("--body") + 1])["properties"]
    return properties


def test_without_addresses_of_ones_own_nobody_may_reach_the_app_any_more(tmp_path: Path) -> None:
    _, patch = closed(tmp_path, [])
    assert patch[:3] == ["rest", "--method", "PATCH"]
    assert f"{APP}/config/web?api-version=2024-04-01" in patch
    body = body_of(patch)
    assert (body["publicNetworkAccess"], body["ipSecurityRestrictions"]) == ("Disabled", [])
    assert body["scmIpSecurityRestrictionsDefaultAction"] == body["ipSecurityRestrictionsDefaultAction"] == "Deny"


def test_the_addresses_of_the_parameter_file_stay(tmp_path: Path) -> None:
    _, patch = closed(tmp_path, ["203.0.113.0/24", "198.51.100.7/32"])
    body = body_of(patch)
    assert body["publicNetworkAccess"] == "Enabled"
    rules = [("allow-0", 100, "203.0.113.0/24"), ("allow-1", 101, "198.51.100.7/32")]
    for name in ("ipSecurityRestrictions", "scmIpSecurityRestrictions"):
        given = body[name]
        assert isinstance(given, list)
        assert [(one["name"], one["priority"], one["ipAddress"]) for one in given] == rules


def test_a_public_app_and_a_group_without_an_app_are_left_alone(tmp_path: Path) -> None:
    assert closed(tmp_path, [], public="true") == []
    assert len(closed(tmp_path, [], found="")) == 1


def test_the_step_looks_whether_it_is_refused(tmp_path: Path) -> None:
    closed(tmp_path, [], uri="http://127.0.0.1:9")  # nobody answers there
    (tmp_path / "curl").write_text("#!/bin/sh\nprintf 200\n")
    (tmp_path / "curl").chmod(0o755)
    with pytest.raises(subprocess.CalledProcessError) as failed:
        closed(tmp_path, [], uri="https://app")
    assert b"expected the app to refuse this runner" in failed.value.stdout


def test_the_step_runs_whatever_has_failed_before() -> None:
    workflow = (ROOT / ".github" / "workflows" / "deploy.yml").read_text()
    _, _, step = workflow.partition("- name: Close the door again")
    assert "if: always() && steps.doors.outcome == 'success'" in step
    assert SCRIPT.name in step


ABSENT = """Not Found({"error": {"code": "SecretNotFound"}})"""


def new_mask_secret(folder: Path, found: str, answer: str) -> subprocess.CompletedProcess[str]:
    """Run the step with an `az` that knows these vaults, and answers this when it is asked for the secret; empty is yes."""
    asked = f"echo '{answer}' >&2; exit 1" if answer else "exit 0"
    (folder / "az").write_text(f'#!/bin/sh\nif [ "$1 $2" = "resource list" ]; then echo "{found}"; else {asked}; fi\n')
    (folder / "az").chmod(0o755)
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "RESOURCE_GROUP": "rg", "ENVIRONMENT": "rehearsal"}
    step = [ROOT / ".github" / "scripts" / "new-mask-secret.sh"]
    return subprocess.run(step, env=environment, check=False, capture_output=True, text=True)


@pytest.mark.parametrize(("found", "answer", "said"), [("", "", "true"), (APP, "", "false"), (APP, ABSENT, "true")])
def test_a_deployment_keeps_the_masks_secret_that_is_there(tmp_path: Path, found: str, answer: str, said: str) -> None:
    done = new_mask_secret(tmp_path, found, answer)
    assert (done.returncode, done.stdout) == (0, f"newMaskSecret={said}\n")


@pytest.mark.parametrize(
    ("group", "listed", "secret", "status", "said"),
    [
        ("false", "exit 3", "exit 3", 0, "true"),
        ("true", "exit 0", "exit 3", 0, "true"),
        ("true", f"echo {APP}", "exit 0", 0, "false"),
        ("true", f"echo {APP}", f"echo '{ABSENT}' >&2; exit 1", 0, "true"),
        ("true", "exit 3", "exit 3", 3, ""),
        ("true", f"echo {APP}", "echo 'Too Many Requests' >&2; exit 1", 1, ""),
    ],
    ids=["first deployment", "no vault", "there", "absent", "the list fails", "the vault does not tell"],
)
def test_azd_keeps_the_masks_secret_that_is_there_and_ends_where_it_cannot_know(
    tmp_path: Path, group: str, listed: str, secret: str, status: int, said: str
) -> None:
    hook = yaml.safe_load((ROOT / "azure.yaml").read_text())["hooks"]["preprovision"]["run"]
    answers = {"group exists": f"echo {group}", "resource list": listed, "rest --url": secret}
    cases = "".join(f'"{asked}") {answer} ;;\n' for asked, answer in answers.items())
    (tmp_path / "az").write_text(f'#!/bin/sh\ncase "$1 $2" in\n{cases}esac\n')
    (tmp_path / "azd").write_text('#!/bin/sh\necho "$4" > set\n')
    for tool in ("az", "azd"):
        (tmp_path / tool).chmod(0o755)
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "AZURE_ENV_NAME": "rehearsal"}
    done = subprocess.run(
        ["sh", "-c", hook], env=environment, cwd=tmp_path, check=False, capture_output=True, text=True
    )
    told = tmp_path / "set"
    assert (done.returncode, told.read_text().strip() if told.exists() else "") == (status, said), done.stderr


def test_a_vault_that_does_not_tell_ends_the_deployment_and_makes_no_new_secret(tmp_path: Path) -> None:
    done = new_mask_secret(tmp_path, APP, "Too Many Requests")
    assert (done.returncode, done.stdout) == (1, "")
    assert "Too Many Requests" in done.stderr
