"""`python -m local.sample --out snapshot.tar.gz --rows 200000 --files 2000 --seed 1 [--with-problems]`."""

import argparse
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from local.processes import ProcessError
from local.sample.build import Request, Summary, build


def main() -> int:
    """Make a sample and print what was made; 0, or 2 with a sentence on standard error."""
    parser = argparse.ArgumentParser(prog="python -m local.sample", description="Make a sample Mendix Cloud backup.")
    parser.add_argument("--out", type=Path, required=True, help="the file to write, such as snapshot.tar.gz")
    parser.add_argument("--rows", type=int, default=200_000, help="rows in all tables together (200000)")
    parser.add_argument("--files", type=int, default=2_000, help="files in the backup (2000)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same rows and files (1)")
    parser.add_argument("--mean-file-bytes", type=int, default=20_000, help="average size of a file in bytes (20000)")
    parser.add_argument("--with-problems", action="store_true", help="include every problem the preflight looks for")
    parser.add_argument("--pg-bin", type=Path, help="folder of the PostgreSQL programs that make the dump")
    parser.add_argument("--dump-only", action="store_true", help="write the PostgreSQL dump alone")
    given = parser.parse_args()
    request = Request(given.rows, given.files, given.seed, given.mean_file_bytes, given.with_problems, given.pg_bin)
    given.out.parent.mkdir(parents=True, exist_ok=True)
    try:
        summary = build(request, given.out, given.dump_only)
    except (ValueError, ProcessError, OSError) as error:
        print(f"The sample was not made: {error}", file=sys.stderr)
        return 2
    _print(summary, given.out)
    return 0


def _print(summary: Summary, out: Path) -> None:
    console = Console()
    table = Table(title=f"{out} in {summary.seconds:.1f} s", show_footer=True)
    table.add_column("table", footer=f"{len(summary.tables)} tables")
    table.add_column("rows", justify="right", footer=f"{summary.rows:,}")
    largest = sorted(summary.tables.items(), key=lambda item: -item[1])
    for name, count in largest[:15]:
        table.add_row(name, f"{count:,}")
    if rest := largest[15:]:
        table.add_row(f"… {len(rest)} more", f"{sum(count for _, count in rest):,}")
    console.print(table)
    print(f"{summary.files:,} files of {summary.file_bytes / 1e6:,.1f} MB")
    print(f"database {summary.database_bytes / 1e6:,.1f} MB, dump {summary.dump_bytes / 1e6:,.1f} MB", end=", ")
    print(f"archive {summary.archive_bytes / 1e6:,.1f} MB")
    for problem in summary.problems:
        print(f"problem: {problem}")


if __name__ == "__main__":
    sys.exit(main())
