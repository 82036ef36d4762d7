"""What is published to Azure: small, complete, installable there from wheels only, under known licences."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from local.licences_page import PAGE, closure, licence, page

ROOT = Path(__file__).parents[2]
LIMIT = 300_000_000  # bytes unpacked
# https://learn.microsoft.com/azure/azure-functions/functions-reference-python: Debian 12, glibc 2.36; wheels may be older.
PLATFORM = "x86_64-manylinux_2_28"
LOCK = "requirements-dev.txt"


def git(*arguments: str) -> list[str]:
    done = subprocess.run(["git", *arguments], cwd=ROOT, check=True, capture_output=True, text=True)
    return done.stdout.splitlines()


def published() -> list[str]:
    """Tracked files that .funcignore leaves in the package; its patterns are those of .gitignore."""
    tracked = git("ls-files")
    # `git check-ignore` would also apply .gitignore and skip tracked files; ls-files with one exclude file does neither.
    ignored = set(git("ls-files", "--cached", "--ignored", f"--exclude-from={ROOT / '.funcignore'}"))
    return [name for name in tracked if name not in ignored]


def test_only_what_the_app_runs_is_published() -> None:
    tops = {name.split("/")[0] for name in published()}
    assert tops <= {
        "function_app.py", "host.json", "requirements.txt", "activities", "api", "orchestrators", "shared", "web",
        "LICENSE",
    }  # fmt: skip
    assert {"function_app.py", "host.json", "requirements.txt", "activities", "orchestrators", "shared"} <= tops


def test_no_settings_and_no_tests_are_published() -> None:
    assert [name for name in published() if "local.settings" in name or "test" in Path(name).name] == []


def test_what_is_published_imports_nothing_that_is_not() -> None:
    """A module of local/, tests/ or bench/ in the app would be missing in Azure."""
    for name in published():
        if name.endswith(".py"):
            source = (ROOT / name).read_text()
            assert not re.search(r"^\s*(from|import) (local|tests|bench)\b", source, re.MULTILINE), name


def test_every_package_that_azure_installs_is_pinned_and_is_the_one_the_tests_run_on() -> None:
    """Nothing is left to be resolved at a build, and what is named is there as a wheel for Azure's Python."""
    python = (ROOT / ".python-version").read_text().strip()
    done = subprocess.run(
        [
            sys.executable, "-m", "uv", "pip", "compile", "--system-certs", "-q", "requirements.txt", "--no-header", "--no-annotate",
            "--python-version", python, "--python-platform", PLATFORM, "--only-binary", ":all:",
        ],
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    resolved, pinned, named, locked = (
        pins(text)
        for text in (
            done.stdout,
            *((ROOT / name).read_text() for name in ("requirements.txt", "requirements.in", LOCK)),
        )
    )
    assert resolved == pinned, "run `make lock`"
    assert {name: pinned[name] for name in named} == named
    assert {name: locked[name] for name in pinned} == pinned


def pins(text: str) -> dict[str, str]:
    """Exact versions by canonical name."""
    found = re.findall(r"^([\w.-]+)(?:\[\w+\])?==(\S+)", text, re.MULTILINE)
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in found}


def test_every_requirement_is_exact() -> None:
    for name in ("requirements.in", "requirements.txt"):
        lines = [line for line in (ROOT / name).read_text().splitlines() if line and not line.startswith("#")]
        assert [line for line in lines if not re.fullmatch(r"[\w.-]+(\[\w+\])?==[\w.]+", line)] == [], name


def test_the_app_with_its_dependencies_unpacks_to_less_than_300_megabytes() -> None:
    sizes = {one.name: unpacked(one) for one in closure()}
    sizes["the app"] = sum((ROOT / name).stat().st_size for name in published())
    largest = sorted(sizes.items(), key=lambda item: -item[1])[:8]
    assert sum(sizes.values()) < LIMIT, f"{sum(sizes.values()):,} bytes; largest: {largest}"


def unpacked(distribution: importlib.metadata.Distribution) -> int:
    """Bytes of an installed distribution's own files, without compiled caches."""
    files = [Path(str(distribution.locate_file(one))) for one in distribution.files or [] if one.suffix != ".pyc"]
    return sum(path.stat().st_size for path in files if path.is_file())


def test_the_licences_page_is_up_to_date() -> None:
    assert PAGE.read_text() == page(), "run `make docs`"


def test_every_licence_lets_a_team_use_and_publish_the_app() -> None:
    known = ("Apache", "BSD", "MIT", "PSF", "MPL", "LGPL", "ISC", "Microsoft")
    assert [(one.name, licence(one)) for one in closure() if not licence(one).startswith(known)] == []


@pytest.mark.parametrize("name", ["requirements.txt", "host.json"])
def test_what_the_host_looks_for_is_there(name: str) -> None:
    assert name in published()


def test_the_extension_bundle_has_both_durable_back_ends() -> None:
    """4.38.1 is the first bundle whose Durable Task Scheduler back end works with azure-functions-durable 2.x."""
    bundle = json.loads((ROOT / "host.json").read_text())["extensionBundle"]
    low = bundle["version"].strip("[").split(",")[0]
    assert tuple(int(part) for part in low.split(".")) >= (4, 38, 1)
