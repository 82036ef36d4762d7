"""The modules of infra/, without the compiler: each is given what it needs, within its bounds, and what is read of it exists."""

from collections.abc import Iterator

from tests.unit.infra.bicepfiles import INFRA, BicepFile, Declared, Node, text, walk
from tests.unit.infra.cases import FILES, each_file


def modules_of(file: BicepFile) -> Iterator[tuple[Declared, BicepFile, dict[str, Node]]]:
    """Every module of a file with its own file and the parameters it is given."""
    for module in file.modules.values():
        given = module.property("params")
        entries = [] if given is None else [one for one in given.children if one.type == "object_property"]
        yield module, file.module_file(module), {text(one.children[0]): one.children[-1] for one in entries}


@each_file
def test_a_module_gets_every_parameter_it_needs_and_no_other(file: BicepFile) -> None:
    for module, target, given in modules_of(file):
        needed = {one.name for one in target.parameters.values() if one.required}
        assert needed - set(given) == set(), module.symbol
        assert set(given) - set(target.parameters) == set(), module.symbol


@each_file
def test_module_names_are_unique_and_short_enough_for_a_deployment(file: BicepFile) -> None:
    names = [text(name) for one in file.modules.values() if (name := one.property("name")) is not None]
    assert len(names) == len(file.modules) == len(set(names))
    assert [name for name in names if len(name) > 50] == []


@each_file
def test_an_output_that_is_used_exists(file: BicepFile) -> None:
    for node in walk(file.root):
        if node.type != "member_expression" or node.children[0].type != "member_expression":
            continue
        inner = node.children[0]
        symbol = text(inner.children[0])
        if symbol in file.modules and text(inner.children[-1]) == "outputs":
            target = file.module_file(file.modules[symbol])
            assert text(node.children[-1]) in target.outputs, text(node)


@each_file
def test_a_conditional_module_is_read_with_an_assertion_inside_a_guard(file: BicepFile) -> None:
    for node in walk(file.root):
        if node.type != "member_expression":
            continue
        symbol = text(node.children[0])
        declared = file.modules.get(symbol) or file.resources.get(symbol)
        if declared is None or not declared.conditional or text(node.children[-1]) in ("id", "name"):
            continue
        assert node.children[1].type == "!", f"BCP318: {text(node)}"
        above, guarded = node.parent, declared.symbol == enclosing_condition(node, file)
        while above is not None and not guarded:
            guarded = above.type in ("ternary_expression", "if_statement")
            above = above.parent
        assert guarded, text(node)


def enclosing_condition(node: Node, file: BicepFile) -> str | None:
    """A conditional declaration that the node stands in; its condition guards the node."""
    above: Node | None = node
    while above is not None:
        if above.type in ("module_declaration", "resource_declaration"):
            name = text(above.children[1])
            declared = file.modules.get(name) or file.resources.get(name)
            return text(node.children[0]) if declared is not None and declared.conditional else None
        above = above.parent
    return None


@each_file
def test_an_enumerated_parameter_is_given_only_its_own_values(file: BicepFile) -> None:
    for module, target, given in modules_of(file):
        for name, value in given.items():
            allowed = target.parameters[name].allowed
            if allowed is None:
                continue
            values = possible_values(value, file)
            assert values is not None, f"{module.symbol}.{name}: {text(value)} may be anything"
            assert {one.strip("'") for one in values} <= {one.strip("'") for one in allowed}, f"{module.symbol}.{name}"


def possible_values(node: Node, file: BicepFile) -> set[str] | None:
    """The literals an expression may be, or None if it may be anything."""
    if node.type in ("string", "number"):
        return {text(node)}
    if node.type == "array":
        parts = [possible_values(one, file) for one in node.children if one.type not in ("[", "]")]
        return None if None in parts else set().union(*[one for one in parts if one is not None])
    if node.type == "ternary_expression":
        one = possible_values(node.child_by_field_name("consequence") or node, file)
        other = possible_values(node.child_by_field_name("alternative") or node, file)
        return None if one is None or other is None else one | other
    if node.type == "identifier":
        name = text(node)
        if name in file.parameters:
            return file.parameters[name].allowed
        # A loop variable over an enumerated array has the array's values.
        arrays = [one for one in file.parameters.values() if "[]" in one.type and one.allowed is not None]
        return arrays[0].allowed if len(arrays) == 1 else None
    return None


@each_file
def test_the_length_of_what_a_module_is_given_fits(file: BicepFile) -> None:
    """BCP334 and BCP335: a value whose known bounds go beyond those of the parameter."""
    for module, target, given in modules_of(file):
        for name, value in given.items():
            wanted = target.parameters[name]
            if wanted.type != "string" or wanted.allowed is not None:
                continue
            low, high = length(value, file)
            least, most = wanted.number("minLength"), wanted.number("maxLength")
            if least is not None and low is not None:
                assert low >= least, f"{module.symbol}.{name}: {low} < {least}"
            if most is not None and high is not None:
                assert high <= most, f"{module.symbol}.{name}: {high} > {most}"


def length(node: Node, file: BicepFile) -> tuple[int | None, int | None]:
    """The shortest and the longest that a string expression may be, as far as known."""
    if node.type == "string":
        return string_length(node, file)
    if node.type == "identifier":
        name = text(node)
        if name in file.variables:
            return length(file.variables[name], file)
        if name in file.parameters:
            parameter = file.parameters[name]
            if parameter.allowed and "[]" not in parameter.type:
                sizes = [len(one.strip("'")) for one in parameter.allowed]
                return min(sizes), max(sizes)
            return parameter.number("minLength"), parameter.number("maxLength")
        return (None, None)
    if node.type == "call_expression":
        function = text(node.children[0])
        if function == "uniqueString":
            return 13, 13
        if function == "guid":
            return 36, 36
        if function in ("toLower", "toUpper"):
            arguments = node.child_by_field_name("arguments")
            assert arguments is not None
            return length(arguments.children[1], file)
    return (None, None)


def string_length(node: Node, file: BicepFile) -> tuple[int | None, int | None]:
    low, high = 0, 0
    bounded = True
    for part in node.children[1:-1]:
        if part.type == "interpolation":
            inner = length(part.children[1], file)
            low += inner[0] or 0
            bounded = bounded and inner[1] is not None
            high += inner[1] or 0
        else:
            low += len(text(part))
            high += len(text(part))
    return low, high if bounded else None


@each_file
def test_no_module_depends_on_what_it_refers_to_anyway(file: BicepFile) -> None:
    for declared in [*file.modules.values(), *file.resources.values()]:
        listed = declared.property("dependsOn")
        if listed is None:
            continue
        for dependency in [text(one) for one in listed.children if one.type == "identifier"]:
            others = [
                text(node)
                for node in walk(declared.body)
                if node.type == "identifier" and not is_within(node, listed) and text(node) == dependency
                and node.parent is not None and node.parent.type != "object_property"
            ]  # fmt: skip
            assert others == [], f"{declared.symbol} depends on {dependency} already"


def is_within(node: Node, other: Node) -> bool:
    return other.start_byte <= node.start_byte and node.end_byte <= other.end_byte


def test_every_module_file_is_used() -> None:
    used = {file.module_file(module).path for file in FILES for module in file.modules.values()}
    assert {path.resolve() for path in (INFRA / "modules").glob("*.bicep")} - used == set()
