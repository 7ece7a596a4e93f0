"""The released command line of Development Containers, and a project that takes the feature."""

import base64
import hashlib
import json
import shlex
import shutil
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tasks.blocks import list_blocks

from .command import run
from .container import Container
from .engine import docker
from .executables import Executables
from .need import need
from .person import Person, newcomer
from .project import Project
from .registry import Registry
from .scene import Stage
from .wheels import CHECKOUT

# As images for development are: a user with a uid that the person on the host need not have.
IMAGE = "FROM {}\nRUN useradd --create-home --shell /bin/bash vscode\nUSER vscode\n"
PAGE = [each.text for each in list_blocks("docs/start/devcontainers.md")]
_TEAM = '{"image": "a-team.invalid/image"}'

_LOCK = CHECKOUT / "tasks" / "lock" / "devcontainers" / "package-lock.json"
_PACKAGE = "@devcontainers/cli"


def install_devcontainers(folder: Path) -> str:
    """Unpack it into a new folder; return the shell command that runs it by node.

    It keeps files in a directory named after the user, not the uid. That must not be in /tmp, where
    an earlier run's user may have left one.
    """
    lacking = next((each for each in ("npm", "node") if shutil.which(each) is None), None)
    need(None if lacking is None else f"there is no {lacking}")
    folder.mkdir()
    locked = json.loads(_LOCK.read_text())["packages"][f"node_modules/{_PACKAGE}"]
    name = f"{_PACKAGE}@{locked['version']}"
    packed = ("npm", "pack", "--silent", f"--pack-destination={folder}", name)
    archive = folder / run(packed, cwd=str(folder)).succeeded().stdout
    digest = base64.b64encode(hashlib.sha512(archive.read_bytes()).digest()).decode()
    assert f"sha512-{digest}" == locked["integrity"]
    with tarfile.open(archive) as files:
        files.extractall(folder, filter="data")
    return f"TMPDIR=$HOME {shutil.which('node')} {folder}/package/devcontainer.js"


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A person with a project, whose daemon serves an agent of the folder's name."""

    person: Person
    project: Project
    devcontainer: str

    @property
    def file(self) -> Path:
        """The configuration beside the team's own."""
        return self.project.path / ".devcontainer/airlock/devcontainer.json"

    def run(self, line: str) -> str:
        """Return what the command line of Development Containers prints; it must succeed."""
        return self.person.run(f"{self.devcontainer} {line}", cwd=self.project.path)

    def publish(self, folder: Path, registry: Registry) -> str:
        """Publish the features of a folder; return the name of ours."""
        # The command line speaks plain HTTP to no other name.
        address = registry.address.replace("127.0.0.1", "localhost")
        login = registry.configuration().replace(registry.address, address)
        account = self.person.account
        settings = account.make_directory(account.home / ".docker")
        account.write(settings / "config.json", login)
        self.run(f"features publish {folder} --registry {address} --namespace acme/airlock")
        return f"{address}/acme/airlock/airlock:0"

    def configure(self, image: str, feature: str) -> None:
        """Write what the page says, with these."""
        self.person.run("mkdir -p .devcontainer/airlock", cwd=self.project.path)
        account = self.person.account
        account.write(self.project.path / ".devcontainer/devcontainer.json", _TEAM)
        (text,) = (text for text in PAGE if '"features"' in text)
        text = text.replace("ghcr.io/OWNER/REPO/airlock:0", feature).replace("IMAGE", image)
        account.write(self.file, text)

    def start(self, *options: str) -> Container:
        """Start the container by that file."""
        words = shlex.join(("up", "--workspace-folder=.", f"--config={self.file}", *options))
        begun = json.loads(self.run(words).splitlines()[-1])
        assert begun["remoteUser"] == "vscode"
        return Container(id=begun["containerId"])

    def upgrade(self) -> None:
        """Take the newest version of the tag, which the lock file beside the file holds back."""
        self.run(f"upgrade --workspace-folder . --config {self.file}")

    def execute(self, container: Container, line: str) -> str:
        """Return what a line prints that the editor's terminal would run."""
        where = f"--container-id {container.id} --workspace-folder ."
        return self.run(f"exec {where} bash -c {shlex.quote(line)}")

    def push(self, container: Container, branch: str) -> None:
        """Push a new commit by the image's own git."""
        identity = "-c user.name=Ada -c user.email=ada@example.org"
        commit = f"git {identity} commit --quiet --allow-empty --message=feature"
        push = f"git push --quiet origin HEAD:{branch}"
        folder = f"/workspaces/{self.project.path.name}"
        self.execute(container, f"cd {folder} && {commit} && {push}")

    def remove(self, container: Container) -> None:
        """Remove it, and the image that was made for it."""
        made = docker("inspect", "--format={{.Config.Image}}", container.id).succeeded().stdout
        line = f"docker rm --force {container.id} && docker rmi {made}"
        self.person.run(line, cwd=self.project.path)


@contextmanager
def placed(
    agent: str,
    commands: str,
    stage: Stage,
    executables: Executables,
    ground: Path,
    devcontainer: str,
) -> Iterator[Place]:
    """Provide such a person for the length of the context."""
    repository = stage.server.make_repository(agent)
    project = Project.make(stage.account, ground / agent, repository)
    with newcomer(stage.account, executables) as person:
        add = f"airlock agent add {agent} --workspace . {commands} --yes"
        person.run(add, cwd=project.path)
        with person.start(f"{agent}/airlock.sock", said=ground / f"{agent}.log"):
            yield Place(person=person, project=project, devcontainer=devcontainer)
