"""Rootless Podman: the daemon in one of its containers, and clients in them of one on the host."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from e2e.world.airlock import Agent, Airlock
from e2e.world.command import Completed
from e2e.world.executables import Executables
from e2e.world.images import Images
from e2e.world.need import need
from e2e.world.podman import Podman, rootless, why_not
from e2e.world.product import HARDENED, Product

from .told import FILES, Told

BARE = tuple(each for each in HARDENED if not each.startswith("--network"))
USERS = ("0", "1000")
"""Of a container: the account itself, and one of its subordinate users."""


@pytest.fixture(scope="module")
def podman(ground: Path) -> Iterator[Podman]:
    """Return Podman of an account that nothing else is of."""
    need(why_not())
    with rootless(ground) as podman:
        yield podman


@pytest.fixture(scope="module")
def daemons_image(podman: Podman, product: Product) -> str:
    """Return the daemon's image, as Podman has it."""
    return podman.load(product.daemon)


@pytest.fixture(scope="module")
def shim(podman: Podman, images: Images) -> str:
    """Return the image with the shim alone, as Podman has it."""
    return podman.load(images.shim)


def ask_doctor(podman: Podman, image: str, *options: str) -> Told:
    """Return what doctor says in a container with these options, in which a daemon serves."""
    with podman.started(image, *BARE, *options) as container:
        return Told.ask(lambda *argv: podman.podman("exec", container, *argv), *FILES)


def test_a_daemon_in_a_container_has_boxes_of_landlock(podman: Podman, daemons_image: str) -> None:
    """With Podman's defaults, and doctor knows whose container it is."""
    told = ask_doctor(podman, daemons_image)
    assert told.boxes == "landlock"
    assert "podman run --security-opt" in told.remedies["container"]


@pytest.mark.parametrize("mapping", [(), ("--userns=keep-id:uid=1000,gid=1000",)])
def test_with_doctors_lines_it_has_boxes_of_bubblewrap(
    podman: Podman, daemons_image: str, mapping: tuple[str, ...]
) -> None:
    """As a subordinate user, and as the account; each of the options is needed."""
    told = ask_doctor(podman, daemons_image, *mapping)
    folder = podman.account.home
    podman.run(
        "sh", "-c", told.printing("podman", image=daemons_image), cwd=str(folder)
    ).succeeded()
    options = told.options(folder)
    assert len(options) == 2
    better = ask_doctor(podman, daemons_image, *mapping, *options)
    assert better.boxes == "bubblewrap"
    assert "container" not in better.remedies
    for option in options:
        assert ask_doctor(podman, daemons_image, *mapping, option).boxes == "landlock"


class Host:
    """A daemon of the account on the host, with an agent whose git runs in boxes."""

    def __init__(self, podman: Podman, executables: Executables, folder: Path) -> None:
        self.podman = podman
        self.airlock = Airlock(
            executable=executables.daemon, account=podman.account, folder=folder / "airlock"
        )
        self.agent: Agent = self.airlock.add_agent("my-agent", profile='commands = ["git"]\n')
        self.workspace = podman.account.make_directory(folder / "workspace")

    def git(self, image: str, *arguments: str, options: tuple[str, ...] = ()) -> Completed:
        """Run git in a container of the account that has the workspace and the socket."""
        mounts = (
            f"--volume={self.agent.socket_directory}:/run/airlock:ro",
            f"--volume={self.workspace}:/workspace",
        )
        words = ("run", "--rm", "--network=none", "--workdir=/workspace", *mounts, *options)
        return self.podman.podman(*words, image, "/bin/git", *arguments)

    def last(self) -> dict[str, Any]:
        """Return the last record of a command."""
        return [each for each in self.airlock.audit() if each["event"] == "exec"][-1]


@pytest.fixture
def host(podman: Podman, executables: Executables, ground: Path) -> Iterator[Host]:
    """Return it while its daemon serves."""
    folder = podman.account.make_directory(ground / "podman")
    host = Host(podman, executables, folder)
    host.airlock.start()
    try:
        yield host
    finally:
        host.airlock.stop()


def test_clients_in_its_containers_are_known(host: Host, shim: str) -> None:
    """By the kernel and by Podman: the container, its mounts and their flags, whoever is in it."""
    host.git(shim, "init", "--quiet", ".").succeeded()
    for user in USERS:
        said = host.git(shim, "rev-parse", "--show-toplevel", options=(f"--user={user}",))
        assert said.succeeded().stdout.splitlines()[-1] == "/workspace"
        record = host.last()
        assert (record["sandbox"], record["container_proven"]) == ("bubblewrap", True)
        assert len(record["container"]) == 64
    (host.workspace / "secret").write_text("secret")
    masked = ("--volume=/dev/null:/workspace/secret:ro",)
    show = ("hash-object", "secret")
    empty = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"
    assert host.git(shim, *show, options=masked).succeeded().stdout.endswith(empty)
    assert not host.git(shim, *show).succeeded().stdout.endswith(empty)
