"""The Makefile: what a newcomer types."""

import subprocess

from local.processes import ROOT


def make(*arguments: str) -> str:
    done = subprocess.run(["make", "-s", *arguments], capture_output=True, text=True, cwd=ROOT, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_make_alone_lists_every_target_that_the_readme_names() -> None:
    listed = make()
    for target in ("setup", "demo", "up", "down", "test", "check", "bench", "lock", "clean"):
        assert f"\n  make {target} " in f"\n{listed}"


def test_a_connection_string_reaches_the_demo_as_it_was_typed() -> None:
    typed = "Server=s;Database=d;UID=u;PWD={a$b'c\"d $(HOME) }}#e}"
    assert make("--eval", "probe: ; @printenv SQL", "probe", f"SQL={typed}") == f"{typed}\n"


def test_the_kind_of_the_target_does_not_reach_the_environment_where_the_app_has_a_setting_of_that_name() -> None:
    assert make("--eval", "probe: ; @printenv TARGET || echo none", "probe", "TARGET=postgres") == "none\n"


def test_no_connection_string_means_the_stand_in() -> None:
    assert make("--eval", "probe: ; @printenv SQL", "probe").strip() == ""
