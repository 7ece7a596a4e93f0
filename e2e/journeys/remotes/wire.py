"""How a container's own git reaches the repository of a scene, over each transport."""

import json
from collections.abc import Callable, Mapping
from typing import NamedTuple

from e2e.world.airlock import ANY_REF
from e2e.world.container import Setup
from e2e.world.git_server import Repository
from e2e.world.scene import Scene, Stage


class Wire(NamedTuple):
    """One way there. `errand` is the fixture by which accounts have the credential for it.

    `place` is what `[git] push` grants.
    """

    errand: str
    url: Callable[[Repository], str]
    place: Callable[[Repository], str]

    def scene(self, stage: Stage, more: str = "") -> Scene:
        """Make a scene whose agent may push to the server, with `more` lines of `[git]`."""
        place = self.place(stage.shared.project.repository)
        grant = f"[git]\npush = [{json.dumps(place)}]\n{ANY_REF}{more}\n"
        profile = f'commands = ["git-remote"]\n{grant}'
        return stage.scene(profile=profile, commands=("git-remote",))


WIRES: Mapping[str, Wire] = {
    "ssh": Wire(
        "git_ssh_errand",
        lambda repository: repository.url,
        lambda repository: f"git@127.0.0.1:{repository.server.port}/srv/**",
    ),
    "https": Wire(
        "git_https_errand",
        lambda repository: repository.web_url,
        lambda repository: f"{repository.server.web.removeprefix('https://')}/git/**",
    ),
}
"""What there is, by the name of the transport."""


def describe(scene: Scene) -> Setup:
    """A Debian with the shim, of which its git has not been told, and without a workspace."""
    mounts = {"/run/airlock": scene.setup(scene.images.debian).mounts["/run/airlock"]}
    mounts["/usr/local/bin/airlock-shim"] = (scene.executables.shim.resolve(), "ro")
    return Setup(image=scene.images.debian, mounts=mounts)
