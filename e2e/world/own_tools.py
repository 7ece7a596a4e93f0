"""A container with this host's own tools, but without Airlock and without a credential.

It uses the host's network, so that every server has the same address as for the host.
"""

import sys
from collections.abc import Iterable
from pathlib import Path

from .container import Setup
from .project import TOOLS
from .scene import Scene

ENGINE = "/var/run/docker.sock"
"""The engine's socket on this host."""


def own_tools(scene: Scene, *, home: Iterable[str]) -> Setup:
    """Describe a container with the scene's workspace and the system's tools.

    Its root user has the files `home`, relative to the account's home.
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
    # The workspace is owned by the account, not by the container's root.
    "GIT_CONFIG_COUNT": "1",
    "GIT_CONFIG_KEY_0": "safe.directory",
    "GIT_CONFIG_VALUE_0": "*",
}
"""The environment in which such a container's tools find each other and never prompt."""
