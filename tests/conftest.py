"""Fixtures that start real servers, one module a server; each xdist worker has its own."""

from collections import Counter

import pytest

pytest_plugins = [
    "tests.fixtures.appsettings",
    "tests.fixtures.azurite",
    "tests.fixtures.postgres",
    "tests.fixtures.sqlserver",
    "tests.fixtures.sample",
    "tests.fixtures.mendixcloud",
    "tests.fixtures.hub",
    "tests.fixtures.engine",
    "tests.fixtures.host",
    "tests.fixtures.apiserver",
    "tests.fixtures.asking",
    "tests.fixtures.channels",
    "tests.fixtures.browser",
]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Refuses tests that share an id: xdist runs one of them, and says nothing of the others."""
    twice = [one for one, count in Counter(item.nodeid for item in items).items() if count > 1]
    if twice:
        raise pytest.UsageError(f"expected an id of its own for every test, found the same twice: {', '.join(twice)}")
