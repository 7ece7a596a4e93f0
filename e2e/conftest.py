"""What all tests of this folder share: the options, what is under test, and the one engine."""

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.world import engine
from e2e.world.executables import Executables


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the options of every suite here: pytest takes those of its first conftest alone."""
    group = parser.getgroup("airlock", "what is under test")
    group.addoption("--daemon", help="airlock-daemon (default: the one on PATH)")
    group.addoption(
        "--without-linux",
        action="store_true",
        help="instead a daemon whose Python lacks Linux's names, without tests that need those",
    )
    group.addoption("--shim", help="the native airlock-shim (default: the one on PATH)")
    group.addoption(
        "--image-context",
        type=Path,
        help="the folder to build the delivered images from, such as dist/image "
        "(default: one made from the checkout)",
    )
    group.addoption(
        "--patience",
        metavar="SECONDS",
        type=float,
        default=30.0,
        help="how long a single run of a command of the faithful list may take (30)",
    )


def pytest_configure() -> None:
    """Refuse to run without an engine where one is required."""
    reason = engine.why_not() if os.environ.get("REQUIRE_DOCKER") == "1" else None
    if reason:
        raise pytest.UsageError(f"REQUIRE_DOCKER=1, but {reason}")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Give these tests more time: the first of a run makes images, or carries out a whole list.

    Leave out what needs Linux where the daemon lacks its names.
    """
    if config.getoption("--without-linux"):
        left = [item for item in items if item.get_closest_marker("linux_only")]
        config.hook.pytest_deselected(items=left)
        items[:] = [item for item in items if item not in left]
    for item in items:
        if item.path.is_relative_to(Path(__file__).parent):
            item.add_marker(pytest.mark.timeout(900))


@pytest.fixture(scope="session")
def executables(pytestconfig: pytest.Config) -> Iterator[Executables]:
    """Return what is under test."""
    named = {name: pytestconfig.getoption(f"--{name}") for name in ("daemon", "shim")}
    found = Executables.find(**named)
    if not pytestconfig.getoption("--without-linux"):
        yield found
        return
    with tempfile.TemporaryDirectory(prefix="airlock-") as folder:
        # Other users run it, too.
        Path(folder).chmod(0o755)
        yield found.without_linux(Path(folder, "bin"))


@pytest.fixture(scope="session")
def alone() -> Iterator[None]:
    """Have the engine for oneself."""
    with engine.alone():
        yield
