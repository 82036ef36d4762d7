"""What can be said of infra/ without the compiler: it parses, and its files fit one another."""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.infra.bicepfiles import (
    INFRA,
    BicepFile,
    Declared,
    Node,
    Parameter,
    all_files,
    errors,
    is_reference,
    literal,
    local_names,
    member,
    parameter_file,
    parameters_of,
    read,
    text,
    walk,
)

FILES = all_files()
PARAMETER_FILES = sorted(INFRA.glob("*.bicepparam"))
FUNCTIONS = {
    "bool", "cidrSubnet", "concat", "contains", "deployment", "empty", "environment", "filter", "guid", "items",
    "length", "loadTextContent", "map", "max", "newGuid", "range", "readEnvironmentVariable", "reduce", "replace",
    "resourceGroup", "resourceId", "split", "startsWith", "string", "subscription", "subscriptionResourceId", "tenant",
    "toLower", "toObject", "toUpper", "union", "uniqueString",
}  # fmt: skip
# Stable versions, except diagnosticSettings, which has none; a newer one is a decision, made here.
API_VERSIONS = {
    "Microsoft.App/containerApps": "2025-01-01",
    "Microsoft.Authorization/roleAssignments": "2022-04-01",
    "Microsoft.Authorization/roleDefinitions": "2022-04-01",
    "Microsoft.Communication/communicationServices": "2023-04-01",
    "Microsoft.DBforPostgreSQL/flexibleServers": "2025-08-01",
    "Microsoft.DurableTask/schedulers": "2026-02-01",
    "Microsoft.Insights/actionGroups": "2023-01-01",
    "Microsoft.Insights/components": "2020-02-02",
    "Microsoft.Insights/diagnosticSettings": "2021-05-01-preview",
    "Microsoft.Insights/scheduledQueryRules": "2023-12-01",
    "Microsoft.Insights/workbooks": "2023-06-01",
    "Microsoft.KeyVault/vaults": "2024-11-01",
    "Microsoft.ManagedIdentity/userAssignedIdentities": "2024-11-30",
    "Microsoft.Network/natGateways": "2024-05-01",
    "Microsoft.Network/networkSecurityGroups": "2024-05-01",
    "Microsoft.Network/privateDnsZones": "2024-06-01",
    "Microsoft.Network/privateEndpoints": "2024-05-01",
    "Microsoft.Network/publicIPAddresses": "2024-05-01",
    "Microsoft.Network/virtualNetworks": "2024-05-01",
    "Microsoft.OperationalInsights/workspaces": "2023-09-01",
    "Microsoft.Resources/resourceGroups": "2024-11-01",
    "Microsoft.Sql/servers": "2023-08-01",
    "Microsoft.Storage/storageAccounts": "2024-01-01",
    "Microsoft.Web/serverfarms": "2024-04-01",
    "Microsoft.Web/sites": "2024-04-01",
}
CONSTRAINTS = {"allowed", "minLength", "maxLength", "minValue", "maxValue"}

each_file = pytest.mark.parametrize("file", FILES, ids=lambda one: one.name)
each_parameter_file = pytest.mark.parametrize("path", PARAMETER_FILES, ids=lambda one: one.name)


def modules_of(file: BicepFile) -> Iterator[tuple[Declared, BicepFile, dict[str, Node]]]:
    """Every module of a file with its own file and the parameters it is given."""
    for module in file.modules.values():
        given = module.property("params")
        entries = [] if given is None else [one for one in given.children if one.type == "object_property"]
        yield module, file.module_file(module), {text(one.children[0]): one.children[-1] for one in entries}


@each_file
def test_a_file_parses(file: BicepFile) -> None:
    assert errors(file.root) == []


@each_file
def test_every_parameter_has_a_description_and_a_constraint(file: BicepFile) -> None:
    for parameter in file.parameters.values():
        assert "description" in parameter.decorators, parameter.name
        if parameter.type not in ("bool", "object"):
            assert CONSTRAINTS & set(parameter.decorators), parameter.name


@each_file
def test_every_output_has_a_description(file: BicepFile) -> None:
    assert [name for name, decorators in file.output_decorators.items() if "description" not in decorators] == []


@each_file
def test_every_name_is_declared_and_every_function_is_known(file: BicepFile) -> None:
    declared = {*file.parameters, *file.variables, *file.resources, *file.modules, *file.types, *file.imports}
    given = {name for one in file.functions.values() for name in one.parameters}
    assert file.references() - declared - given - local_names(file.root) - FUNCTIONS == set()
    called = {text(node.children[0]) for node in walk(file.root) if node.type == "call_expression"}
    known = FUNCTIONS | CONSTRAINTS | {"description", "secure", "metadata", "batchSize", "export"}
    assert called - known - set(file.functions) - set(file.imports) == set()


@each_file
def test_nothing_declared_is_unused(file: BicepFile) -> None:
    used = file.references() | {text(node.children[0]) for node in walk(file.root) if node.type == "call_expression"}
    existing = {one.symbol for one in file.resources.values() if one.existing}
    nested = {text(node.children[-1]) for node in walk(file.root) if node.type == "resource_expression"}
    assert set(file.parameters) - used == set()
    assert set(file.variables) - used == set()
    assert existing - used - nested == set()
    assert set(file.imports) - used == set()
    assert {one.name for one in file.types.values() if not one.exported} - used == set()
    assert {one.name for one in file.functions.values() if not one.exported} - used == set()


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
def test_api_versions_are_dated_and_allowed(file: BicepFile) -> None:
    for resource in file.resources.values():
        if "@" not in resource.kind:
            assert resource.kind in ("subnets", "databases", "blobServices", "containers", "config",
                                     "basicPublishingCredentialsPolicies"), resource.kind  # fmt: skip
            continue
        kind, version = resource.kind.split("@")
        top = "/".join(kind.split("/")[:2])
        assert API_VERSIONS.get(top) == version, resource.kind
        assert re.fullmatch(r"\d{4}-\d{2}-\d{2}(-preview)?", version)


def test_every_allowed_api_version_is_used() -> None:
    used = {"/".join(r.kind.split("@")[0].split("/")[:2]) for f in FILES for r in f.resources.values() if "@" in r.kind}
    assert set(API_VERSIONS) - used == set()


@each_file
def test_every_location_comes_from_a_parameter(file: BicepFile) -> None:
    for resource in file.resources.values():
        location = resource.property("location")
        if location is not None:
            assert text(location) in ("location", "'global'"), resource.symbol
    for node in walk(file.root):
        if text(node) in ("resourceGroup().location", "deployment().location"):
            assert node.parent is not None
            assert node.parent.type == "parameter_declaration"


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


@each_file
def test_files_that_are_loaded_exist(file: BicepFile) -> None:
    for node in walk(file.root):
        if node.type == "call_expression" and text(node.children[0]) == "loadTextContent":
            name = text(node).split("'")[1]
            assert (file.path.parent / name).is_file(), name


def test_every_module_file_is_used() -> None:
    used = {file.module_file(module).path for file in FILES for module in file.modules.values()}
    assert {path.resolve() for path in (INFRA / "modules").glob("*.bicep")} - used == set()


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


def test_the_linter_treats_its_rules_as_errors() -> None:
    rules = json.loads((INFRA / "bicepconfig.json").read_text())["analyzers"]["core"]["rules"]
    assert {one["level"] for one in rules.values()} == {"error"}
    assert {"no-hardcoded-env-urls", "outputs-should-not-contain-secrets", "no-unused-params"} <= set(rules)


def test_the_workbook_is_a_notebook_whose_parts_have_names_of_their_own() -> None:
    workbook = json.loads((INFRA / "workbook.json").read_text())
    assert workbook["version"] == "Notebook/1.0"
    names = [item["name"] for item in workbook["items"]]
    assert len(names) == len(set(names))


@each_file
def test_property_names_are_quoted_only_where_they_must_be(file: BicepFile) -> None:
    for node in walk(file.root):
        if node.type == "object_property" and node.children[0].type == "string":
            name = literal(node.children[0])
            assert name is None or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name), name


def test_member_finds_nested_properties() -> None:
    sql = read(INFRA / "modules" / "sql.bicep").resources["server"]
    assert member(sql.body, "properties", "minimalTlsVersion") is not None
    assert member(sql.body, "properties", "nothing") is None
