"""A bench to try a recipe at: a credential on the host, an agent, and a container of it."""

import json
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from e2e.world.command import Completed, run
from e2e.world.container import Container
from e2e.world.engine import docker
from e2e.world.executables import Executables
from e2e.world.need import need
from e2e.world.project import TOOLS
from e2e.world.scene import Scene, Stage
from e2e.world.secrets import Password, read_tree
from e2e.world.web_server import WebServer

REFUSED = 126
"""The exit status of what a rule refuses."""


def make_token(prefix: str) -> str:
    """Return a token of nobody's."""
    return prefix + secrets.token_hex(20)


def find_authority(stage: Stage) -> Path:
    """Return where the account's host, and the box, have the certificate of the server."""
    return stage.account.home / ".authority.pem"


def adapt(stage: Stage, server: WebServer, text: str, changes: Mapping[str, str]) -> str:
    """Return a recipe with `changes`: what stands in it once, and what a person writes for it.

    The certificate of `server` is in its box, where `find_authority` says.
    """
    path = stage.account.write(find_authority(stage), server.authority.read_text())
    read = {'box = "closed"\n': f'box = "closed"\nread = ["{path}"]\n'}
    for here, there in (read | dict(changes)).items():
        assert text.count(here) == 1, here
        text = text.replace(here, there)
    return text


def show(executables: Executables, name: str) -> str:
    """Return the recipe as `airlock-daemon show --recipe` prints it."""
    return run((str(executables.daemon), "show", name, "--recipe")).succeeded().out.decode()


def drop_rules(recipe: str) -> str:
    """Return a recipe that refuses nothing: what is kept then is kept by the box."""
    return recipe[: recipe.index("[syntax]")] + "[deny]\nargs = []\n"


def need_tool(name: str, package: str) -> None:
    """Leave the test out where this host does not have the tool."""
    found = shutil.which(name, path=TOOLS)
    need(None if found else f"there is no {name}: apt-get install {package}")


@dataclass(slots=True, kw_only=True)
class Bench:
    """The container of an agent that has the recipe's tool, and all that it has got to see."""

    scene: Scene
    client: Container
    name: str
    seen: list[bytes] = field(default_factory=list)

    def run(self, *args: str, stdin: str = "", **env: str) -> Completed:
        """Run the tool at /workspace."""
        done = self.client.run(self.name, *args, stdin=stdin.encode(), env=env)
        self.seen += [done.out, done.err]
        return done

    def write(self, name: str, text: str) -> None:
        """Write a file of the workspace."""
        path = self.scene.project.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        self.scene.airlock.account.write(path, text)

    def link(self, name: str, to: str) -> None:
        """Make a link in the workspace."""
        path = self.scene.project.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(to)

    def find(self, token: str) -> list[str]:
        """Return where pieces of the token are: in output, workspace, container, engine, log."""
        places = {
            "output": b"\0".join(self.seen),
            "workspace": read_tree(self.scene.project.path),
            "container": self.client.export(),
            "engine": docker("inspect", self.client.id).succeeded().out,
            "log": json.dumps(self.scene.airlock.audit()).encode(),
        }
        return [name for name, data in places.items() if Password(token).find(data)]

    def boxes(self) -> set[str]:
        """Return what the records call the boxes that the commands had."""
        records = self.scene.airlock.audit()
        return {str(each["sandbox"]) for each in records if each["event"] == "exec-start"}


@contextmanager
def at_bench(stage: Stage, name: str, module: str) -> Iterator[Bench]:
    """Keep a container whose agent has the command `name` by this module alone."""
    scene = stage.scene(profile=f'commands = ["{name}"]\n', commands=(), modules={name: module})
    with scene.setup(scene.images.busybox).running() as client:
        yield Bench(scene=scene, client=client, name=name)
    stage.clear()
