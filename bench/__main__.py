"""`python -m bench [NAME]`: measure, print a table, write `.local/bench.json`."""

import argparse
import sys

from rich.console import Console
from rich.table import Table

from bench.harness import OUTPUT, SCALE, Result, run


def main() -> int:
    """Run the benches; 1 when a goal was missed."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("name", nargs="?", default="", help="run those whose name contains this")
    parser.add_argument("--only", default="", help="the same, as an option")
    given = parser.parse_args()
    results = run(given.only or given.name)
    if not results:
        sys.stderr.write("no bench of that name\n")
        return 2
    console = Console()
    if not console.is_terminal:
        console = Console(width=180)
    console.print(_table(results))
    print(f"{OUTPUT} written; sizes at BENCH_SCALE={SCALE:g}")
    return 1 if any(result.met is False for result in results) else 0


def _table(results: list[Result]) -> Table:
    table = Table("bench", "value", "unit", "goal", "met", "baseline", "detail", "s")
    for one in results:
        value = "–" if one.value is None else f"{one.value:g}"
        met = {True: "yes", False: "NO", None: "–" if one.goal else ""}[one.met]
        table.add_row(one.name, value, one.unit, one.goal, met, one.baseline, one.detail, f"{one.seconds:.0f}")
    return table


if __name__ == "__main__":
    sys.exit(main())
