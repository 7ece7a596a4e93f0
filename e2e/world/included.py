"""A compose file of a person's own that includes the daemon of docker/include, as on the page."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.blocks import list_blocks

from .compose import Composition
from .container import FOR_EVER, Container
from .engine import LABEL, docker
from .git_server import GitServer, Repository, running_git_server
from .keys import KeyPair


@dataclass(frozen=True, slots=True, kw_only=True)
class Included:
    """The directory of the file, and the server that the daemon alone reaches."""

    folder: Path
    server: GitServer

    def start(self, recipe: Path, *, daemon: str, agent: str) -> Composition:
        """Start both services by these images, in the place of any that run, with that include."""
        (text,) = (text for text in _PAGE if text.startswith("include: "))
        (self.folder / "compose.yaml").write_text(text.replace("IMAGE", agent))
        shutil.copy(recipe / "compose.yaml", self.folder / "airlock")
        composition = self._compose(daemon)
        composition.up()
        docker("network", "disconnect", _network(composition), self.server.container)
        words = ("network", "connect", "--alias=git-server", _network(composition))
        docker(*words, self.server.container).succeeded()
        return composition

    def push(self, agent: Container, repository: Repository, branch: str) -> str:
        """Push a new commit from the agent's container; return it."""
        return (
            agent.run("sh", "-c", make_push(self.url(repository), branch), cwd="/")
            .succeeded()
            .stdout
        )

    def url(self, repository: Repository) -> str:
        """The repository's address for the agent."""
        return f"ssh://git@git-server{repository.path}"

    def _compose(self, daemon: str) -> Composition:
        labels = {"labels": {LABEL: "compose"}}
        return Composition(
            self.folder / "compose.yaml",
            name="including",
            folder=self.folder,
            settings={"AIRLOCK_DAEMON_IMAGE": daemon, "AIRLOCK_SSH": str(self.folder / "ssh")},
            override={"services": {"airlock": labels, "agent": {**labels, "command": FOR_EVER}}},
        )

    def remove(self) -> None:
        """Remove containers, networks and volumes."""
        composition = self._compose("none")
        docker("network", "disconnect", _network(composition), self.server.container)
        composition.remove()


def make_push(url: str, branch: str) -> str:
    """Return a line that pushes a new commit of a new repository, and prints it."""
    make = "rm -rf /tmp/w && git init -q /tmp/w && cd /tmp/w"
    identity = "-c user.name=Ada -c user.email=a@example.org"
    commit = f"git {identity} commit -q --allow-empty -m begin"
    return f"{make} && {commit} && git push -q {url} HEAD:{branch} && git rev-parse HEAD"


_PAGE = [block.text for block in list_blocks("docs/start/compose.md")]


def _network(composition: Composition) -> str:
    return f"{composition.name}_default"


@contextmanager
def included(folder: Path, recipe: Path, image: str) -> Iterator[Included]:
    """Provide it for the length of the context, in a new folder, with a server of `image`.

    One that changes networks has other published ports then, so it is nobody else's.
    """
    shutil.copytree(recipe, folder / "airlock")
    profile = folder / "airlock/agents/agent/airlock.toml"
    profile.write_text(
        profile.read_text().replace("git@github.com/OWNER/REPO", "git@git-server/srv/**")
    )
    with running_git_server(image) as server:
        keys = folder / "ssh"
        keys.mkdir(mode=0o700)
        server.authorize(KeyPair.make(keys / "id_ed25519"))
        (keys / "known_hosts").write_text(f"git-server {server.host_key}\n")
        for path in (keys, *keys.iterdir()):
            os.chown(path, 1000, 1000)
        found = Included(folder=folder, server=server)
        try:
            yield found
        finally:
            found.remove()
