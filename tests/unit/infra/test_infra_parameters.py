"""The parameters of infra/, without the compiler: described, bounded, and their files and defaults within the bounds."""

from pathlib import Path

from tests.unit.infra.bicepfiles import BicepFile, Node, Parameter, literal, parameter_file, read, text, walk
from tests.unit.infra.cases import CONSTRAINTS, each_file, each_parameter_file


@each_file
def test_every_parameter_has_a_description_and_a_constraint(file: BicepFile) -> None:
    for parameter in file.parameters.values():
        assert "description" in parameter.decorators, parameter.name
        if parameter.type not in ("bool", "object"):
            assert CONSTRAINTS & set(parameter.decorators), parameter.name


@each_parameter_file
def test_a_parameter_file_fits_its_template(path: Path) -> None:
    template, values = parameter_file(path)
    parameters = read(template).parameters
    assert set(values) - set(parameters) == set()
    assert {one.name for one in parameters.values() if one.required} - set(values) == set()
    for name, value in values.items():
        if not parameters[name].type.endswith(("[]", "object")):  # user-defined types: `misfits` above
            check_value(parameters[name], default_of(value))
        if "secure" in parameters[name].decorators:
            found = [text(node) for node in walk(value) if node.type == "string" and not text(node).isidentifier()]
            assert set(found) <= {"'MENDIX_API_KEY'", "'source-mendix-api-key'", "''"}, (
                f"{name}: given by the environment"
            )
            assert "readEnvironmentVariable('MENDIX_API_KEY', '')" in text(value)


def default_of(node: Node) -> str:
    """The literal of a value, or the last default of `readEnvironmentVariable`, as the compiler takes it."""
    while node.type == "call_expression":
        arguments = node.child_by_field_name("arguments")
        assert arguments is not None
        node = [one for one in arguments.children if one.type not in ("(", ")", ",")][-1]
    return literal(node) if node.type == "string" else text(node)  # type: ignore[return-value]


def check_value(parameter: Parameter, value: str) -> None:
    if parameter.allowed is not None:
        assert value in {one.strip("'") for one in parameter.allowed}, parameter.name
    elif parameter.type == "int":
        assert (parameter.number("minValue") or 0) <= int(value) <= (parameter.number("maxValue") or 2**31), (
            parameter.name
        )
    elif parameter.type == "string":
        assert (parameter.number("minLength") or 0) <= len(value) <= (parameter.number("maxLength") or 2**31), (
            parameter.name
        )
    else:
        assert parameter.type == "bool"
        assert value in ("true", "false")


@each_file
def test_a_default_satisfies_its_own_constraint(file: BicepFile) -> None:
    for parameter in file.parameters.values():
        default = parameter.default
        if default is None or default.type not in ("string", "number", "boolean"):
            continue
        value = literal(default) if default.type == "string" else text(default)
        if value is not None:
            check_value(parameter, value)
