"""What the infrastructure tests share: the files they are done for, and the words of Bicep that they know."""

import pytest

from tests.unit.infra.bicepfiles import INFRA, all_files

FILES = all_files()
FUNCTIONS = {
    "bool", "cidrSubnet", "concat", "contains", "deployment", "empty", "environment", "filter", "guid", "items",
    "length", "loadTextContent", "map", "max", "newGuid", "range", "readEnvironmentVariable", "reduce", "replace",
    "resourceGroup", "resourceId", "split", "startsWith", "string", "subscription", "subscriptionResourceId", "tenant",
    "toLower", "toObject", "toUpper", "union", "uniqueString",
}  # fmt: skip
CONSTRAINTS = {"allowed", "minLength", "maxLength", "minValue", "maxValue"}

each_file = pytest.mark.parametrize("file", FILES, ids=lambda one: one.name)
each_parameter_file = pytest.mark.parametrize("path", sorted(INFRA.glob("*.bicepparam")), ids=lambda one: one.name)
