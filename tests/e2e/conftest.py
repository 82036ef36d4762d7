"""Fixtures of the end-to-end tests: one running stack a module."""

from collections.abc import Iterator

import pytest

from tests.e2e.stand import Stand, stand


@pytest.fixture(scope="module")
def running() -> Iterator[Stand]:
    """A stack with the sample, shared by a module's tests."""
    with stand() as made:
        yield made
