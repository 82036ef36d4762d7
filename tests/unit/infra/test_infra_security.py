"""What a security officer asks of infra/: nothing public, no key, no password, no role without a reason."""

import re
from collections.abc import Iterator

from tests.unit.infra.bicepfiles import INFRA, ROOT, BicepFile, Declared, Node, literal, read, text, walk
from tests.unit.infra.cases import FILES, each_file

# https://learn.microsoft.com/azure/role-based-access-control/built-in-roles
ROLES = {
    "b7e6dc6d-f1e8-4753-8033-0f276bb0955b": "storageBlobDataOwner",
    "ba92f5b4-2d11-453d-a403-e96b0029c9fe": "storageBlobDataContributor",
    "2a2b9908-6ea1-4ae2-8e65-a410df84e7d1": "storageBlobDataReader",
    "974c5e8b-45b9-4653-ba55-5f855dd0fb88": "storageQueueDataContributor",
    "0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3": "storageTableDataContributor",
    "4633458b-17de-408a-b874-0445c86b69e6": "keyVaultSecretsUser",
    "3913510d-42f4-4e42-8a64-420c390055eb": "monitoringMetricsPublisher",
    "0ad04412-c4d5-4796-b79c-f76d14c8d402": "durableTaskDataContributor",
    "b24988ac-6180-42a0-ab88-20f7382dd24c": "contributor",
    "18d7d88d-d35e-4fb5-a5c3-7773c20a72d9": "userAccessAdministrator",
}
# The list of the linter's rule no-hardcoded-env-urls, as far as it could concern us.
ENVIRONMENT_URLS = (
    "core.windows.net", "database.windows.net", "vault.azure.net", "management.azure.com",
    "login.microsoftonline.com", "graph.windows.net", "gallery.azure.com",
)  # fmt: skip
GUID = re.compile(r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")


def strings(file: BicepFile) -> Iterator[tuple[Node, str]]:
    """Every string that is not a description."""
    for node in walk(file.root):
        if node.type != "string":
            continue
        above: Node | None = node
        while above is not None and above.type not in ("decorator", "metadata_declaration"):
            above = above.parent
        if above is None:
            yield node, "".join(text(one) for one in node.children if one.type == "string_content")


def assignments() -> list[tuple[BicepFile, Declared]]:
    return [
        (file, one)
        for file in FILES
        for one in file.resources.values()
        if one.kind.startswith("Microsoft.Authorization/roleAssignments@")
    ]


def definitions() -> list[tuple[BicepFile, Declared]]:
    return [
        (file, one)
        for file in FILES
        for one in file.resources.values()
        if one.kind.startswith("Microsoft.Authorization/roleDefinitions@")
    ]


@each_file
def test_no_key_is_listed(file: BicepFile) -> None:
    called = {text(one.children[0]) for one in walk(file.root) if one.type == "call_expression"}
    assert not [name for name in called if name.lower().startswith("list")]
    accessed = {text(one.children[-1]) for one in walk(file.root) if one.type == "member_expression"}
    assert not [name for name in accessed if name.lower().startswith("listkeys")]


@each_file
def test_no_password_is_written_down(file: BicepFile) -> None:
    for node in walk(file.root):
        if node.type != "object_property" or node.children[-1].type != "string":
            continue
        name, value = text(node.children[0]), text(node.children[-1])
        if re.search(r"password|secret|apikey|api_key|accountkey|sharedkey", name, re.IGNORECASE):
            harmless = value == "'Disabled'" or "@Microsoft.KeyVault(" in value or "${" in value
            assert harmless, f"{file.name}: {name}"


@each_file
def test_secrets_are_secure_parameters_and_reach_the_vault_only(file: BicepFile) -> None:
    for parameter in file.parameters.values():
        named_so = re.search(r"password$|secrets?$|key$", parameter.name, re.IGNORECASE)
        is_secret = parameter.type in ("string", "object") and named_so
        assert bool(is_secret) == ("secure" in parameter.decorators), parameter.name
        if not is_secret:
            continue
        assert parameter.default is None or text(parameter.default) in ("''", "{}", "'Mx-${newGuid()}'"), parameter.name
        for node in walk(file.root):
            if node.type == "identifier" and text(node) == parameter.name and node.parent is not None:
                allowed_uses = ("parameter_declaration", "object_property", "arguments", "ternary_expression")
                assert node.parent.type in allowed_uses, text(node.parent)
    outputs = " ".join(text(node) for node in file.outputs.values())
    secure = [one.name for one in file.parameters.values() if "secure" in one.decorators]
    assert [name for name in secure if re.search(rf"\b{name}\b", outputs)] == []


def test_given_secrets_go_into_the_vault_and_nowhere_else() -> None:
    uses = [
        (file.name, text(node.parent))
        for file in FILES
        for node in walk(file.root)
        if node.type == "identifier" and text(node) == "secrets" and node.parent is not None
        and node.parent.type not in ("parameter_declaration",)
    ]  # fmt: skip
    assert {(name, use) for name, use in uses if use != "secrets: secrets"} == {("modules/keyvault.bicep", "(secrets)")}


@each_file
def test_no_address_of_a_cloud_is_hard_coded(file: BicepFile) -> None:
    for _, value in strings(file):
        assert [one for one in ENVIRONMENT_URLS if one in value] == []


def test_access_is_private_unless_asked_otherwise() -> None:
    for file in FILES:
        parameter = file.parameters.get("publicAccess")
        if parameter is not None and parameter.default is not None:
            assert text(parameter.default) == "false", file.name


@each_file
def test_whatever_has_a_public_side_has_it_only_with_public_access(file: BicepFile) -> None:
    for node in walk(file.root):
        if node.type == "object_property" and text(node.children[0]) in (
            "publicNetworkAccess", "defaultAction", "ipSecurityRestrictionsDefaultAction",
            "scmIpSecurityRestrictionsDefaultAction", "ipAllowlist",
        ):  # fmt: skip
            value = node.children[-1]
            assert value.type == "ternary_expression", text(node)
            assert text(value.children[0]) in ("publicAccess", "doorOpen"), text(node)
    for resource in file.resources.values():
        if resource.kind.split("@")[0].endswith("/firewallRules"):
            assert resource.conditional, resource.symbol


@each_file
def test_whatever_can_have_a_private_endpoint_has_one(file: BicepFile) -> None:
    private = (
        "Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults", "Microsoft.Web/sites", "Microsoft.Sql/servers",
        "Microsoft.DBforPostgreSQL/flexibleServers", "Microsoft.DurableTask/schedulers",
    )  # fmt: skip
    made = [one for one in file.resources.values() if one.kind.split("@")[0] in private and not one.existing]
    endpoints = [one for one in file.modules.values() if one.kind == "endpoint.bicep"]
    for resource in made:
        assert any(text(e.property("params", "resourceId") or e.body) == f"{resource.symbol}.id" for e in endpoints)


def test_storage_takes_tokens_only() -> None:
    account = read(INFRA / "modules" / "storage.bicep").resources["account"]
    expected = {
        "allowSharedKeyAccess": "false",
        "allowBlobPublicAccess": "false",
        "allowCrossTenantReplication": "false",
        "supportsHttpsTrafficOnly": "true",
        "minimumTlsVersion": "'TLS1_2'",
    }
    for name, value in expected.items():
        assert text(account.property("properties", name) or account.body) == value


def test_databases_take_entra_tokens_only() -> None:
    postgres = read(INFRA / "modules" / "postgres.bicep").resources["server"]
    assert text(postgres.property("properties", "authConfig", "passwordAuth") or postgres.body) == "passwordAuth"
    asked = read(INFRA / "main.bicep").parameters["postgresPasswordAuth"]
    assert asked.default is not None
    assert literal(asked.default) == "Disabled"
    assert literal(postgres.property("properties", "authConfig", "activeDirectoryAuth")) == "Enabled"
    sql = read(INFRA / "modules" / "sql.bicep").resources["server"]
    assert text(sql.property("properties", "administrators", "azureADOnlyAuthentication") or sql.body) == "true"
    assert literal(sql.property("properties", "minimalTlsVersion")) == "1.2"
    assert sql.property("properties", "administratorLoginPassword") is None
    password = text(postgres.property("properties", "administratorLoginPassword") or postgres.body)
    assert password == "passwordAuth == 'Enabled' ? unusedPassword : null"


def test_the_vault_uses_roles_and_cannot_be_purged() -> None:
    vault = read(INFRA / "modules" / "keyvault.bicep").resources["vault"]
    for name in ("enableRbacAuthorization", "enableSoftDelete", "enablePurgeProtection"):
        assert text(vault.property("properties", name) or vault.body) == "true"


def test_the_app_takes_no_basic_authentication_and_no_plain_http() -> None:
    file = read(INFRA / "modules" / "functions.bicep")
    policies = [one for one in file.resources.values() if one.kind == "basicPublishingCredentialsPolicies"]
    assert {literal(one.property("name")) for one in policies} == {"ftp", "scm"}
    assert {text(one.property("properties", "allow") or one.body) for one in policies} == {"false"}
    assert text(file.resources["app"].property("properties", "httpsOnly") or file.root) == "true"


# https://learn.microsoft.com/azure/azure-functions/functions-app-settings#flex-consumption-plan-deprecations: a site of that
# plan is refused with them (51021, "… is invalid for Flex Consumption sites").
REFUSED_BY_FLEX = {
    "alwaysOn", "containerSize", "ftpsState", "functionAppScaleLimit", "isReserved", "IsXenon", "javaVersion", "linuxFxVersion",
    "netFrameworkVersion", "powerShellVersion", "preWarmedInstanceCount", "use32BitWorkerProcess", "vnetBackupRestoreEnabled",
    "vnetContentShareEnabled", "vnetImagePullEnabled", "vnetRouteAllEnabled", "windowsFxVersion",
}  # fmt: skip


def test_the_app_has_no_property_that_its_plan_refuses() -> None:
    app = read(INFRA / "modules" / "functions.bicep").resources["app"]
    properties, site = app.property("properties"), app.property("properties", "siteConfig")
    assert properties is not None
    assert site is not None
    given = {
        text(one.children[0]) for node in (properties, site) for one in node.children if one.type == "object_property"
    }
    assert "minTlsVersion" in given
    assert {name.lower() for name in given} & {name.lower() for name in REFUSED_BY_FLEX} == set()


def test_an_app_that_a_rehearsal_may_start_lets_the_identity_change_its_settings() -> None:
    chosen = text(read(INFRA / "main.bicep").variables["appsThatTakeSettings"])
    assert "one.?app.?takesSettings == true || one.?throwAway == true" in chosen


@each_file
def test_a_guid_in_a_file_is_a_known_role_under_its_own_name(file: BicepFile) -> None:
    for name, value in file.variables.items():
        found = literal(value)
        if found is not None and GUID.match(found):
            assert ROLES.get(found) == name
    for node, value in strings(file):
        if GUID.match(value):
            assert node.parent is not None
            assert node.parent.type == "variable_declaration"


def test_every_role_assignment_names_the_code_that_needs_it() -> None:
    found = assignments()
    assert len(found) >= 10
    for file, assignment in found:
        reason = " ".join(line.removeprefix("//").strip() for line in assignment.comment.splitlines())
        assert reason.startswith("Needed by: "), f"{file.name}: {assignment.symbol}"
        places = re.findall(r"(?:shared|activities|orchestrators|infra|\.github)/[\w./*-]*|function_app\.py", reason)
        assert places, reason
        for place in places:
            pattern = place.rstrip("./")
            assert list(ROOT.glob(pattern)), f"{file.name}: {assignment.symbol} names {place}, which does not exist"


def test_what_a_role_assignment_names_is_in_the_code_it_names() -> None:
    for file, assignment in assignments():
        reason = " ".join(line.removeprefix("//").strip() for line in assignment.comment.splitlines())
        paths = [ROOT / one for one in re.findall(r"(?:shared|activities)/[\w/]+\.py", reason)]
        sources = "\n".join(path.read_text() for path in paths)
        for name in re.findall(r"`([a-z_]+)`", reason):
            if paths:
                assert re.search(rf"\b{name}\b", sources), f"{file.name}: {assignment.symbol} names {name}"


def test_every_assignment_is_of_a_service_principal_and_named_after_what_it_joins() -> None:
    for file, assignment in assignments():
        assert literal(assignment.property("properties", "principalType")) == "ServicePrincipal"
        assert text(assignment.property("name") or file.root).startswith("guid(")
        role = text(assignment.property("properties", "roleDefinitionId") or file.root)
        assert role.startswith("subscriptionResourceId('Microsoft.Authorization/roleDefinitions', ")


def test_only_the_pipeline_has_a_role_on_the_whole_group() -> None:
    for file, assignment in assignments():
        if assignment.property("scope") is None:
            assert file.name == "pipeline.bicep"


def test_custom_roles_have_no_wildcard_and_no_data_action() -> None:
    for file, definition in definitions():
        permissions = text(definition.property("properties", "permissions") or definition.body)
        assert "dataActions: []" in permissions
        for action in actions_of(file):
            assert "*" not in action
            assert "delete" not in action.lower()


def actions_of(file: BicepFile) -> set[str]:
    """The actions that a role's file names, in lower case, as Azure compares them."""
    found = {
        value for _, value in strings(file) if re.fullmatch(r"Microsoft\.\w+/[\w/]+/(read|write|action)", value, re.I)
    }
    return {one.lower() for one in found}


FLEXIBLE, DATABASES = "microsoft.dbforpostgresql/flexibleservers", "microsoft.sql/servers/databases"
SITES, CONTAINER_APPS = "microsoft.web/sites", "microsoft.app/containerapps"
# What each method of ResourceManager asks of Azure, and the actions that allow it.
MANAGED = {
    "postgres_state": {f"{FLEXIBLE}/read"},
    "postgres_tier": {f"{FLEXIBLE}/read"},
    "postgres_storage": {f"{FLEXIBLE}/read"},
    "start_postgres": {f"{FLEXIBLE}/start/action"},
    "stop_postgres": {f"{FLEXIBLE}/stop/action"},
    "database_size": {f"{DATABASES}/read"},
    "scale_database": {f"{DATABASES}/write"},
    "look": {f"{SITES}/read", f"{CONTAINER_APPS}/read"},
    "act": {f"{kind}/{what}/action" for kind in (SITES, CONTAINER_APPS) for what in ("start", "stop")},
    "ask": {f"{SITES}/config/list/action", f"{CONTAINER_APPS}/listsecrets/action"},
    "put": {f"{SITES}/config/read", f"{SITES}/config/write"},
    "patch": {f"{CONTAINER_APPS}/write", "microsoft.app/managedenvironments/join/action"},
}
# https://learn.microsoft.com/azure/communication-services/quickstarts/email/send-email-smtp/smtp-authentication
MAIL = {
    "microsoft.communication/communicationservices/read",
    "microsoft.communication/communicationservices/write",
    "microsoft.communication/emailservices/write",
}


def test_whatever_the_code_asks_of_the_resource_manager_a_role_allows_and_no_role_allows_more() -> None:
    code = [path for folder in ("shared", "activities") for path in (ROOT / folder).rglob("*.py")]
    called = {name for path in code for name in re.findall(r"\bmanager\.([a-z_]+)\(", path.read_text())}
    assert called == set(MANAGED)
    allowed = {action for file, _ in definitions() for action in actions_of(file)}
    assert allowed == set().union(*MANAGED.values()) | MAIL


def test_every_role_reaches_a_deployment() -> None:
    used = {module.kind for module in read(INFRA / "main.bicep").modules.values()}
    assert {f"modules/{path.name}" for path in (INFRA / "modules").glob("role*.bicep")} - used == set()


def test_the_app_has_one_identity_and_no_system_assigned_one() -> None:
    app = read(INFRA / "modules" / "functions.bicep").resources["app"]
    assert literal(app.property("identity", "type")) == "UserAssigned"


@each_file
def test_diagnostics_go_to_the_workspace(file: BicepFile) -> None:
    watched = (
        "Microsoft.Storage/storageAccounts", "Microsoft.KeyVault/vaults", "Microsoft.Web/sites", "Microsoft.Sql/servers",
        "Microsoft.DBforPostgreSQL/flexibleServers",
    )  # fmt: skip
    made = [one for one in file.resources.values() if one.kind.split("@")[0] in watched and not one.existing]
    diagnostics = [one for one in file.resources.values() if "diagnosticSettings" in one.kind]
    assert not made or diagnostics


def test_the_log_of_the_temporary_server_quotes_no_row() -> None:
    """What these two values keep out of a log, test_postgres_connection.py sees on a real server."""
    resources = read(INFRA / "modules" / "postgres.bicep").resources.values()
    found = {
        literal(one.property("name")): literal(one.property("properties", "value"))
        for one in resources
        if one.kind.split("@")[0].endswith("/configurations")
    }
    assert found == {"log_min_messages": "log", "log_min_error_statement": "panic"}


def test_no_category_whose_texts_quote_rows_goes_to_the_workspace() -> None:
    quoting = {"Errors", "Blocks", "Deadlocks", "allLogs", "audit", "QueryStoreWaitStatistics", "SQLInsights"}
    sent = {value for _, value in strings(read(INFRA / "modules" / "sql.bicep"))}
    assert "Timeouts" in sent
    assert not sent & quoting
