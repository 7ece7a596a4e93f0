"""A host for each test, in a directory whose path is short."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.world.executables import Executables

from .hosts import Host


@pytest.fixture
def host(executables: Executables) -> Iterator[Host]:
    """A person's home, empty but for what a test makes of it."""
    mask = os.umask(0o022)
    try:
        with tempfile.TemporaryDirectory(prefix="up-") as folder:
            # Whatever a shell, a unit or TOML could mistake.
            home = Path(folder) / "m y's $x %h"
            home.mkdir()
            yield Host(home, executables.daemon)
    finally:
        os.umask(mask)
