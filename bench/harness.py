"""The bench harness: `@bench(name, unit=…, goal=…)` marks a function that measures one number.

`python -m bench` runs them all, `python -m bench NAME` those whose name contains NAME; it prints a table and writes
`.local/bench.json` (name → value, unit, goal, baseline, met, detail). A number is a ratio to a baseline of the same run
wherever one can be had, because machines differ. Sizes are those of the goals; `BENCH_SCALE` below 1 is for a quick look,
and a bench that was made smaller by it says nothing about its goal.
"""

import importlib
import json
import operator
import os
import pkgutil
import time
import traceback
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import bench as package

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
OUTPUT = Path(__file__).parent.parent / ".local" / "bench.json"
GOALS: dict[str, Callable[[float, float], bool]] = {">=": operator.ge, "<=": operator.le, "=": operator.eq}


@dataclass(frozen=True)
class Measured:
    """What a bench found: `baseline` says what it was compared with, `detail` the numbers behind the value."""

    value: float
    baseline: str = ""
    detail: str = ""


@dataclass(frozen=True)
class Result:
    """A line of the table; `met` is None where there is no goal, or where the size was not the goal's."""

    name: str
    value: float | None
    unit: str
    goal: str
    baseline: str
    met: bool | None
    detail: str
    seconds: float


@dataclass(frozen=True)
class Bench:
    """A registered bench."""

    name: str
    unit: str
    goal: str
    measure: Callable[[], Measured | float]

    def run(self) -> Result:
        """Measure once; a bench that fails is a line in the table too."""
        started = time.monotonic()
        _Sizes.shrunk = False
        blank = Result(self.name, None, self.unit, self.goal, "", None, "", 0)
        try:
            found = self.measure()
        except Exception as error:  # noqa: BLE001 - the other benches still run
            traceback.print_exc()
            return replace(blank, detail=f"failed: {error}", met=False, seconds=time.monotonic() - started)
        measured = found if isinstance(found, Measured) else Measured(found)
        return replace(
            blank,
            value=round(measured.value, 4),
            baseline=measured.baseline,
            met=None if _Sizes.shrunk else _met(self.goal, measured.value),
            detail=measured.detail,
            seconds=time.monotonic() - started,
        )


class _Sizes:
    """Whether the bench that is being measured has asked for a size, and got a smaller one."""

    shrunk = False


REGISTERED: dict[str, Bench] = {}


def bench[F: Callable[[], Measured | float]](name: str, *, unit: str, goal: str = "") -> Callable[[F], F]:
    """Register a function under a name; `goal` is such as `>= 0.8`."""

    def register(function: F) -> F:
        REGISTERED[name] = Bench(name, unit, goal, function)
        return function

    return register


def scaled(full: int, least: int = 1) -> int:
    """Return a size of the goals at the scale of this run."""
    size = max(least, int(full * SCALE))
    _Sizes.shrunk |= size < full
    return size


PROGRAMS = frozenset(("harness", "__main__", "copy_app", "copy_child", "copy_sink", "snapshot_child"))
"""Processes of their own: what they load would count in the memory of the benches that run in this one."""


def run(only: str = "") -> list[Result]:
    """Run the benches whose name contains `only`, print each as it ends, and keep the results."""
    for module in pkgutil.iter_modules(package.__path__):
        if module.name not in PROGRAMS:
            importlib.import_module(f"bench.{module.name}")
    chosen = [one for name, one in sorted(REGISTERED.items()) if only in name]
    results = []
    for one in chosen:
        print(f"… {one.name}", flush=True)
        results.append(one.run())
    _keep(results)
    return results


def _met(goal: str, value: float) -> bool | None:
    if not goal:
        return None
    sign, bound = goal.split(maxsplit=1)
    return GOALS[sign](value, float(bound))


def _keep(results: list[Result]) -> None:
    """Write the results; those of earlier runs of other benches stay."""
    OUTPUT.parent.mkdir(parents=True, exist_ok=True)
    known = json.loads(OUTPUT.read_text()) if OUTPUT.exists() else {}
    for result in results:
        known[result.name] = {key: value for key, value in asdict(result).items() if key != "name"} | {"scale": SCALE}
    OUTPUT.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")
