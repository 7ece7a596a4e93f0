"""Servers for the recipes' tools, with a token that nobody but the account of the host has."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.world.web_server import WebServer, running_web


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[WebServer]:
    """A server that nobody is to ask anything."""
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    with running_web(folder, lambda _: (200, {})) as server:
        yield server
