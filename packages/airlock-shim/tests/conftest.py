"""Fixtures: the shim, built from its sources, and a daemon for it to talk to."""

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_shim import binary_path
from fake_brokers import FakeBroker
from fake_daemons import FakeDaemon
from fake_terminals import Terminal

PACKAGE = Path(__file__).parents[1]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Exclude fixtures from the timeout: the first test waits for the compiler."""
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.timeout(60, func_only=True))


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The binaries, built from the sources first if the build tools are installed."""
    if importlib.util.find_spec("hatchling") and importlib.util.find_spec("ziglang"):
        build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--hooks-only"]
        subprocess.run(
            [*build, "--directory", str(tmp_path_factory.mktemp("dist"))],
            cwd=PACKAGE,
            env={**os.environ, "AIRLOCK_TARGET": ""},
            check=True,
        )


@pytest.fixture
def shim(built: None) -> Path:
    """The binary for this machine."""
    return binary_path()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a path short enough for sockets, which every user may enter."""
    with tempfile.TemporaryDirectory(prefix="airlock-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


@pytest.fixture
def daemon(folder: Path, shim: Path) -> Iterator[FakeDaemon]:
    """A listening daemon that starts shims connected to it."""
    with FakeDaemon(folder, shim) as daemon:
        yield daemon


@pytest.fixture
def broker(folder: Path, shim: Path) -> Iterator[FakeBroker]:
    """The daemon's HTTPS socket in its own folder, and commands started for it."""
    with FakeBroker(folder, shim) as broker:
        yield broker


@pytest.fixture(scope="session")
def unshare() -> list[str]:
    """A command that executes another one in its own mount namespace."""
    command = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "-m"]
    probe = [*command, "mount", "-t", "tmpfs", "none", "/run"]
    try:
        subprocess.run(probe, capture_output=True, check=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        pytest.skip(f"this user cannot have mounts of its own here: {error}")
    return command


@pytest.fixture(scope="session")
def unprivileged() -> list[str]:
    """A command that executes another one as an unprivileged user."""
    if os.geteuid() != 0:
        pytest.skip("only root can become another user")
    if shutil.which("setpriv") is None:
        pytest.skip("setpriv (util-linux) is not installed")
    return ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    """A terminal to start shims on."""
    with Terminal() as terminal:
        yield terminal
