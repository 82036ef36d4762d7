"""What can be said of infra/ without the compiler: it parses, declares what it uses, and uses what it declares."""

import json
import re

from tests.unit.infra.bicepfiles import INFRA, BicepFile, errors, literal, local_names, member, read, text, walk
from tests.unit.infra.cases import CONSTRAINTS, FILES, FUNCTIONS, each_file

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


@each_file
def test_a_file_parses(file: BicepFile) -> None:
    assert errors(file.root) == []


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
def test_files_that_are_loaded_exist(file: BicepFile) -> None:
    for node in walk(file.root):
        if node.type == "call_expression" and text(node.children[0]) == "loadTextContent":
            name = text(node).split("'")[1]
            assert (file.path.parent / name).is_file(), name


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
