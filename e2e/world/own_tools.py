"""A container with this host's own tools in it, and no Airlock: what it lacks is a credential.

It stands in the host's network, so that every server is where it is for the host.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from .container import Setup
from .project import TOOLS
from .scene import Scene

ENGINE = "/var/run/docker.sock"
"""Where the engine listens, for everyone on this host who may talk to it."""


def own_tools(scene: Scene, *, home: Iterable[str]) -> Setup:
    """Describe a container with the scene's workspace and the tools of the system.

    Its root has the files `home`, which are named from the account's home.
    """
    places = {Path("/usr"), Path(sys.prefix), Path(sys.base_prefix)}
    mounts = {
        str(place): (place, "ro")
        for place in places
        if not any(other in place.parents for other in places)
    }
    mounts |= {f"/root/{name}": (scene.airlock.account.home / name, "ro") for name in home}
    mounts |= {"/workspace": (scene.project.path, "rw"), ENGINE: (Path(ENGINE), "ro")}
    return Setup(image=scene.images.debian, mounts=mounts, options=("--network=host",))


ENVIRONMENT = {
    "PATH": TOOLS,
    "GIT_TERMINAL_PROMPT": "0",
    # The workspace belongs to the account, and the container's root is another.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}
"""That in which such a container's tools find each other and ask nobody."""
