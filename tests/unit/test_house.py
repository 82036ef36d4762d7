"""The house: which module may import which, as CONTRIBUTING.md says. Late imports count; imports for type checking do not."""

import ast
import re
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parents[2]
CODE = ("function_app", "api", "orchestrators", "activities", "shared", "local", "bench", "tests")

# shared/ from the bottom up: a module or a folder imports those of its own floor and of lower ones.
FLOORS = {
    "ground": """
        answers errors strict runpaths eventkinds settingnames redaction version budget databaseplan channel request sessions
        targetmodes wording settings credentials contracts rowcontracts filecontracts progress events masking
    """,
    "rooms": "blobs azure installation runs postgres sqlserver mendix snapshot sources",
    "stages": "copying verification inspection smoke setup ticks handedout remains leftovers idling",
    "the run as a whole": "apps communication reporting forecast sizing capacity rehearsals readiness",
}

# What an orchestrator may take of Python itself: nothing that reads a clock, a file, a socket, chance or the environment.
PURE = {"collections", "contextlib", "dataclasses", "datetime", "functools", "itertools", "json", "typing"}

Graph = Mapping[str, set[str]]


def imported(source: str) -> Iterator[str]:
    """What a text imports when it runs, `from a import b` as `a.b`."""
    waiting: list[ast.AST] = [ast.parse(source)]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"a relative import: {ast.unparse(node)}"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING"):
            waiting.extend(node.orelse)
        else:
            waiting.extend(ast.iter_child_nodes(node))


@cache
def sources() -> dict[str, str]:
    """Every module's text by its dotted name."""
    files = [ROOT / "function_app.py", *(path for top in CODE for path in (ROOT / top).rglob("*.py"))]
    names = (".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in files)
    return {name: path.read_text() for name, path in zip(names, files, strict=True)}


@cache
def modules() -> Graph:
    """What each of our modules imports of the others."""
    known = sources()

    def ours(name: str) -> str | None:
        return name if name in known else owner if (owner := name.rpartition(".")[0]) in known else None

    found = {name: {other for one in imported(text) if (other := ours(one))} for name, text in known.items()}
    return {name: others - {name} for name, others in found.items()}


@cache
def arrows() -> dict[str, set[str]]:
    """The table of CONTRIBUTING.md: what each room may import."""
    lines = [line.strip("| ").split(" | ") for line in (ROOT / "CONTRIBUTING.md").read_text().splitlines()]
    cells = {re.sub(r"`|\.py|/", "", line[0]): line[-1] for line in lines if len(line) == 3 and line[0].startswith("`")}
    found: dict[str, set[str]] = {}
    for room, cell in cells.items():
        phrases = {"all": set(cells), "all above": set(found), "itself": {room}, "lower floors only": set(), "–": set()}
        words = [word.strip("` ") for word in cell.split(",")]
        found[room] = set().union(*(phrases.get(word, {word}) for word in words))
    return found


def top(module: str) -> str:
    return module.partition(".")[0]


def room(module: str) -> str:
    """A module or a folder of shared/."""
    return module.split(".")[1]


def within(module: str, allowed: set[str]) -> bool:
    return any(module == one or module.startswith(f"{one}.") for one in allowed)


def of_shared() -> Iterator[tuple[str, str]]:
    """Imports from one room of shared/ to another."""
    for name, others in modules().items():
        for other in others:
            if name.startswith("shared.") and other.startswith("shared.") and room(name) != room(other):
                yield name, other


def circle(graph: Graph) -> list[str]:
    """One circle of a graph, or nothing."""
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return list(error.args[1])
    return []


def test_the_table_of_contributing_names_every_room_with_code_and_only_known_ones() -> None:
    assert set(CODE) <= set(arrows())
    assert {top(name) for cell in arrows().values() for name in cell} <= {*arrows(), "durabletask"}


def test_a_room_imports_only_what_the_table_of_contributing_allows() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, others in modules().items()
        for other in others
        if top(other) != top(name) and not within(other, arrows()[top(name)])
    ]
    assert wrong == []


def test_an_orchestrator_imports_nothing_that_reads_a_clock_or_the_world() -> None:
    wrong = [
        f"{name} imports {other}"
        for name, text in sources().items()
        if top(name) == "orchestrators"
        for other in imported(text)
        if top(other) not in {*CODE, *PURE} and not within(other, arrows()["orchestrators"])
    ]
    assert wrong == []


def test_the_library_knows_nothing_of_functions_or_durable() -> None:
    hosts = {"azure.functions", "azure.durable_functions", "durabletask"}
    users = [
        name
        for name, text in sources().items()
        if top(name) == "shared" and any(within(one, hosts) for one in imported(text))
    ]
    assert users == []


def test_every_module_and_folder_of_shared_has_one_floor() -> None:
    placed = [name for floor in FLOORS.values() for name in floor.split()]
    there = {room(name) for name in sources() if name.startswith("shared.")}
    assert len(placed) == len(set(placed))
    assert there - set(placed) == set(), "place it in FLOORS, as low as what it imports lets it"
    assert set(placed) - there == set(), "it is gone: take it out of FLOORS"


def test_no_floor_of_shared_imports_a_higher_one() -> None:
    floors = {name: number for number, floor in enumerate(FLOORS.values()) for name in floor.split()}
    higher = [
        f"{name} imports {other}"
        for name, other in of_shared()
        if floors.get(room(name), 0) < floors.get(room(other), 0)
    ]
    assert higher == []


def test_no_modules_import_each_other_in_a_circle() -> None:
    assert circle(modules()) == []


def test_no_rooms_of_shared_import_each_other_in_a_circle() -> None:
    graph: dict[str, set[str]] = {}
    for name, other in of_shared():
        graph.setdefault(room(name), set()).add(room(other))
    assert circle(graph) == []


def test_a_late_import_counts_and_one_for_type_checking_does_not() -> None:
    text = "if TYPE_CHECKING:\n    import never\ndef f():\n    from late import thing\ntry:\n    import tried\nfinally:\n    pass"
    assert sorted(imported(text)) == ["late.thing", "tried"]
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"a"}}) != []
