"""Writes docs/licences.md: every package that the app installs in Azure, with its licence: `python -m local.licences_page`."""

import importlib.metadata
import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "licences.md"
HEAD = """# Licences of what the app installs

Made from the installed packages by `make docs`; do not edit. These are the packages of `requirements.txt`.
mxferry itself is under the MIT licence (`LICENSE`).

| Package | Version | Licence |
| --- | --- | --- |
"""
# Where the package's own metadata does not say it in a word.
SAID = {
    "durabletask": "MIT",
    "azure-functions-durable": "MIT",
    "isodate": "BSD-3-Clause",
    "mssql-python": "MIT",
    "mssql-python-odbc": "Microsoft ODBC driver licence (redistributable with applications)",
}
NOTES = """
`psycopg` is under the LGPL: it is used as a library, unchanged, and installed from its own wheel. `mssql-python-odbc`
carries Microsoft's ODBC driver 18 under Microsoft's licence terms, which come with the wheel.
"""


def closure() -> list[importlib.metadata.Distribution]:
    """The distributions of requirements.txt, which names all, in its order: by name."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    return [importlib.metadata.distribution(line.partition("==")[0]) for line in lines if not line.startswith("#")]


def licence(distribution: importlib.metadata.Distribution) -> str:
    """The licence, as an SPDX expression where the package gives one."""
    if distribution.name in SAID:
        return SAID[distribution.name]
    metadata = distribution.metadata
    given = metadata.get("License-Expression") or metadata.get("License") or ""
    if given and "\n" not in given and not given.startswith("Copyright"):
        return re.sub(r"^(\d-Clause) BSD License$", r"BSD-\1", given)
    classifiers = [
        one.rsplit(" :: ", 1)[-1] for one in metadata.get_all("Classifier") or [] if one.startswith("License")
    ]
    return ", ".join(classifiers) or "unknown"


def page() -> str:
    """The page as Markdown."""
    rows = [f"| {one.name} | {one.version} | {licence(one)} |\n" for one in closure()]
    return HEAD + "".join(rows) + NOTES


if __name__ == "__main__":
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(page())
    print(f"{PAGE.relative_to(Path.cwd())}: {len(closure())} packages")
