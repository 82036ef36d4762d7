"""The user-defined types and functions of infra/, without the compiler: what has a type fits it, what is called is given what it takes."""

import re
from pathlib import Path

from tests.unit.infra.bicepfiles import (
    INFRA,
    BicepFile,
    Node,
    is_reference,
    local_names,
    parameter_file,
    parameters_of,
    read,
    text,
    walk,
)
from tests.unit.infra.cases import FUNCTIONS, each_file, each_parameter_file


@each_file
def test_what_is_imported_is_exported(file: BicepFile) -> None:
    for name, other in file.imports.items():
        found = other.types.get(name) or other.functions.get(name)
        assert found is not None, name
        assert found.exported, name


@each_file
def test_a_function_uses_its_own_parameters_and_no_variable_of_the_file(file: BicepFile) -> None:
    for function in file.functions.values():
        used = {text(one) for one in walk(function.body) if one.type == "identifier" and is_reference(one)}
        assert used - set(function.parameters) - local_names(function.body) - FUNCTIONS == set(), function.name
        assert "reference" not in {
            text(one.children[0]) for one in walk(function.body) if one.type == "call_expression"
        }


@each_file
def test_a_function_is_called_with_as_many_arguments_as_it_has_parameters(file: BicepFile) -> None:
    for node in walk(file.root):
        found = file.user_function(text(node.children[0])) if node.type == "call_expression" else None
        arguments = node.child_by_field_name("arguments")
        if found is not None and arguments is not None:
            given = [one for one in arguments.children if one.type not in ("(", ")", ",", "comment")]
            assert len(given) == len(found[0].parameters), text(node)


@each_file
def test_what_may_be_left_out_is_read_as_such(file: BicepFile) -> None:
    """The linter's use-safe-access and BCP318: `.?` for every property that a type lets one leave out."""
    known = [*file.types.values(), *(one for name in file.imports if (one := file.user_type(name)))]
    known += [one for name in file.imports for one in file.imports[name].types.values()]
    always = {name for one in known for name in set(one.properties) - one.optional}
    optional = {name for one in known for name in one.optional} - always
    for node in walk(file.root):
        base = node
        while base.type == "member_expression":
            base = base.children[0]
        declared = text(base) in file.modules or text(base) in file.resources
        if node.type == "member_expression" and text(node.children[-1]) in optional and not declared:
            assert any(one.type == ".?" for one in node.children), text(node)


@each_file
def test_a_typed_value_has_every_property_of_its_type_and_no_other(file: BicepFile) -> None:
    for parameter in file.parameters.values():
        if parameter.default is not None:
            assert misfits(parameter.default, parameter.type, file) == [], parameter.name
    for node in walk(file.root):
        found = file.user_function(text(node.children[0])) if node.type == "call_expression" else None
        arguments = node.child_by_field_name("arguments")
        if found is None or arguments is None:
            continue
        given = [one for one in arguments.children if one.type not in ("(", ")", ",")]
        for value, wanted in zip(given, found[0].types, strict=True):
            assert misfits(file.variables.get(text(value), value), text(wanted), found[1]) == [], text(node)


@each_parameter_file
def test_a_typed_value_of_a_parameter_file_fits_its_type(path: Path) -> None:
    template, values = parameter_file(path)
    file = read(template)
    for name, value in values.items():
        assert misfits(value, file.parameters[name].type, file) == [], name


def test_the_example_of_the_deployment_page_fits_its_types() -> None:
    (example,) = re.findall(r"```bicep\n(.*?)```", (INFRA.parent / "docs" / "deploy.md").read_text(), re.DOTALL)
    values = parameters_of(example)
    file = read(INFRA / "main.bicep")
    assert set(values) == {"targets", "channels"}
    for name, value in values.items():
        assert misfits(value, file.parameters[name].type, file) == [], name


def misfits(value: Node, wanted: str, file: BicepFile) -> list[str]:
    """What a literal lacks of a user-defined type, has beside it, or says that the type does not know."""
    wanted = wanted.removesuffix("?")
    if value.type == "ternary_expression":
        branches = ("consequence", "alternative")
        return [found for one in branches for found in misfits(value.child_by_field_name(one) or value, wanted, file)]
    if wanted.endswith("[]"):
        elements = [one for one in value.children if value.type == "array" and one.type == "object"]
        return [found for one in elements for found in misfits(one, wanted.removesuffix("[]"), file)]
    kind = file.user_type(wanted)
    if kind is None and "|" in wanted and value.type == "string":
        return [] if text(value) in wanted else [f"{text(value)} is none of {wanted}"]
    if kind is None or value.type != "object":
        return []
    home = file.imports.get(wanted, file)
    given = {text(one.children[0]): one.children[-1] for one in value.children if one.type == "object_property"}
    missing = set(kind.properties) - kind.optional - set(given)
    unknown = set(given) - set(kind.properties)
    inner = [
        found
        for name, one in given.items()
        if name in kind.properties
        for found in misfits(one, text(kind.properties[name]), home)
    ]
    return [*(f"no {name}" for name in missing), *(f"unknown {name}" for name in unknown), *inner]


@each_file
def test_every_type_property_says_what_it_means(file: BicepFile) -> None:
    for declared in [one for one in walk(file.root) if one.type == "type_declaration"]:
        for node in declared.children[-1].children:
            if node.type == "object_property":
                assert node.prev_sibling is not None, text(node)
                assert "@description" in text(node.prev_sibling), text(node)
