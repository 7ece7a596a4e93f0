"""A daemon whose boxes hold credentials, and the home of its user."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from boxing import mapped_world
from holding import home_of_tools
from worlds import World


@pytest.fixture
def home() -> Iterator[Path]:
    """The home of the daemon's user, with what tools keep there."""
    with home_of_tools() as home:
        yield home


@pytest.fixture
def world() -> Iterator[World]:
    """A daemon with boxes, and `/workspace` mapped."""
    with mapped_world() as world:
        yield world
