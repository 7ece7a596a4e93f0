"""A host for each test."""

from collections.abc import Iterator

import pytest

from e2e.world.executables import Executables

from .hosts import Host, new_host


@pytest.fixture
def host(executables: Executables) -> Iterator[Host]:
    """A person's home, empty but for what a test makes of it."""
    with new_host(executables) as host:
        yield host
