"""What the journeys share: the images, the server, and the accounts."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path, PurePath
from typing import Any

import pytest
from e2e.world import account, engine
from e2e.world.devcontainers import install_devcontainers
from e2e.world.executables import Executables
from e2e.world.fresh_host import FreshHosts
from e2e.world.git_server import GitServer, running_git_server
from e2e.world.home import furnish
from e2e.world.images import Images
from e2e.world.keys import KeyPair
from e2e.world.product import Product
from e2e.world.project import TOOLS
from e2e.world.scene import Stage
from e2e.world.terraform import install_terraform

from .errands.fixtures import (
    docker_errand,
    errand,
    git_https_errand,
    git_ssh_errand,
    ssh_errand,
)

__all__ = [
    "docker_errand",
    "errand",
    "git_https_errand",
    "git_ssh_errand",
    "ssh_errand",
]

KINDS = ("root", "user")
"""The accounts that a daemon runs as: root, and an ordinary one."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Give each worker a file at a time, or a folder, whose files share a fixture."""
    from xdist.scheduler import LoadScopeScheduling  # noqa: PLC0415 - where pytest has it alone

    class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # comes without types
        def _split_scope(self, nodeid: str) -> str:
            path = PurePath(nodeid.partition("::")[0])
            return str(PurePath(*path.parts[:3]))

    return Scheduling(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Take the engine for all workers together, until the run ends."""
    if _why_not() is None:
        stack = ExitStack()
        config.add_cleanup(stack.close)
        stack.enter_context(engine.alone())


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    here = [item for item in items if item.path.is_relative_to(Path(__file__).parent)]
    reason = _why_not() if here else None
    if reason and os.environ.get("REQUIRE_DOCKER") == "1":
        raise pytest.UsageError(f"REQUIRE_DOCKER=1, but {reason}")
    for item in here if reason else ():
        item.add_marker(pytest.mark.skip(reason=f"end-to-end tests: {reason}"))


def _why_not() -> str | None:
    """Say why these tests cannot run here, or None."""
    if sys.platform != "linux":
        return "the daemon runs on Linux only"
    if os.geteuid() != 0:
        return "these tests make a user and look into containers from outside, so they need root"
    return engine.why_not()


@pytest.fixture(scope="session")
def ground(alone: None) -> Iterator[Path]:
    """Return a directory for the run that every account may pass through."""
    with tempfile.TemporaryDirectory(prefix="airlock-e2e-") as folder:
        os.chmod(folder, 0o755)
        yield Path(folder)


@pytest.fixture(scope="session")
def devcontainer(ground: Path) -> str:
    """Return the line that calls the command line of Development Containers."""
    return install_devcontainers(ground / "devcontainers")


@pytest.fixture(scope="session")
def images(alone: None, executables: Executables) -> Images:
    """Return the images, made if need be."""
    return Images.make(shim=executables.shim.resolve())


@pytest.fixture(scope="session")
def product(request: pytest.FixtureRequest, ground: Path) -> Product:
    """Return the images that Airlock is delivered as."""
    context: Path | None = request.config.getoption("--image-context")
    return Product.make(context=context, folder=ground)


@pytest.fixture(scope="session")
def fresh_hosts(alone: None, ground: Path) -> FreshHosts:
    """Return what machines are made of on which nothing is installed."""
    return FreshHosts.make(ground)


@pytest.fixture(scope="session")
def server(images: Images) -> Iterator[GitServer]:
    """Return the running git server, to which nobody may push yet."""
    with running_git_server(images.git_server) as server:
        yield server


@pytest.fixture(scope="session")
def tools(ground: Path) -> list[Path]:
    """Return programs of the run's own, for what this host does not have itself."""
    # Where a box can be shown what a program needs.
    folder = ground / "tools" / "bin"
    folder.mkdir(parents=True)
    if shutil.which("terraform", path=TOOLS) is None and install_terraform(folder) is None:
        return [folder / "terraform"]
    return []


@pytest.fixture(scope="session")
def stages(
    ground: Path, images: Images, server: GitServer, executables: Executables
) -> Iterator[dict[str, Stage]]:
    """Return a stage for each of KINDS. The key in its account's home may push."""
    with ExitStack() as stack:
        accounts = {
            "root": account.root(ground / "root-home"),
            "user": stack.enter_context(account.ordinary(ground / "user-home")),
        }
        made = {}
        for kind in KINDS:
            key = furnish(accounts[kind], known_hosts=server.known_hosts())
            server.authorize(key)
            made[kind] = Stage(
                account=accounts[kind],
                key=key,
                ground=ground,
                images=images,
                server=server,
                executables=executables,
            )
            stack.callback(made[kind].close)
        yield made


@pytest.fixture
def user_stage(stages: dict[str, Stage]) -> Iterator[Stage]:
    """Return the ordinary account's stage; the scenes of a test end with it.

    What depends on the account is in `test_errands` and `test_refusals`, which have both.
    """
    yield stages["user"]
    stages["user"].clear()


@pytest.fixture(scope="session")
def other_key(ground: Path) -> KeyPair:
    """Return a key that nobody uses: what the format of every key has in common."""
    return KeyPair.make(ground / "other_key")
