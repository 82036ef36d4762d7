"""Fixtures that start real servers, one module a server; each xdist worker has its own."""

pytest_plugins = [
    "tests.fixtures.azurite",
    "tests.fixtures.postgres",
    "tests.fixtures.sqlserver",
    "tests.fixtures.sample",
    "tests.fixtures.mendixcloud",
    "tests.fixtures.engine",
    "tests.fixtures.host",
    "tests.fixtures.apiserver",
    "tests.fixtures.browser",
]
