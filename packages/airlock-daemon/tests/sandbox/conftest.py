"""Fixtures: the program that runs others under a box's filter and limits."""

import pytest

from confining import build_confined


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Time the tests and not the fixtures where the first test has the compiler to wait for."""
    for item in items:
        if "confined" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.timeout(60, func_only=True))


@pytest.fixture(scope="session")
def confined() -> None:
    """That program is there, built from the sources: a whole minute's work on a busy machine."""
    build_confined()
