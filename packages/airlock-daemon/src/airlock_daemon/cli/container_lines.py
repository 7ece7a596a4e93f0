"""What a person writes to give a container an agent's socket and the shim under its commands."""

import json
import os
import shlex
import shutil
import sys

import msgspec

SOCKET_DIRECTORY = "/run/airlock"
"""Where the shim looks for the socket."""
PROGRAMS = "/usr/local/bin"
"""A directory of the container's PATH that comes before that of its own tools."""
IMAGE = "IMAGE"


class Wiring(msgspec.Struct, frozen=True, kw_only=True):
    """What a container of an agent has mounted: paths of the host.

    `sockets` is the agent's own socket directory. `shim` is None where none is installed. Without
    `workspaces` it is the directory in which the line is typed.
    """

    sockets: str
    shim: str | None
    commands: tuple[str, ...]
    workspaces: tuple[str, ...]

    @property
    def mounts(self) -> list[tuple[str, str]]:
        """What is mounted read-only, each with its path in the container."""
        shim = self.shim or "/PATH/TO/airlock-shim"
        programs = ((shim, f"{PROGRAMS}/{command}") for command in self.commands)
        return [(self.sockets, SOCKET_DIRECTORY), *programs]


def find_shim() -> str | None:
    """The shim's real path: beside this Python's programs, else on PATH; None if not installed."""
    beside = os.path.dirname(sys.executable)
    found = shutil.which("airlock-shim", path=beside) or shutil.which("airlock-shim")
    return os.path.realpath(found) if found else None


def docker_run(wiring: Wiring) -> str:
    """A `docker run` for a shell. The workspace is at the same path on both sides."""
    spaces = [shlex.quote(path) for path in wiring.workspaces] or ['"$PWD"']
    lines = ['docker run -it --rm -u "$(id -u):$(id -g)"']
    lines += [f"-v {space}:{space}" for space in spaces]
    lines += [f"-w {spaces[0]}"]
    lines += [f"-v {shlex.quote(source)}:{target}:ro" for source, target in wiring.mounts]
    return " \\\n    ".join((*lines, IMAGE))


def compose(wiring: Wiring, *, user: str) -> str:
    """A compose.yaml with one service; `user` is UID:GID."""
    spaces = [_escape(path) for path in wiring.workspaces] or ["${PWD}"]
    volumes = [f"{space}:{space}" for space in spaces]
    volumes += [f"{_escape(source)}:{target}:ro" for source, target in wiring.mounts]
    service = [f"image: {IMAGE}", f"user: {_quote(user)}", f"working_dir: {_quote(spaces[0])}"]
    service += ["volumes:", *(f"  - {_quote(volume)}" for volume in volumes)]
    return "\n".join(("services:", "  agent:", *(f"    {line}" for line in service)))


def devcontainer(wiring: Wiring) -> dict[str, object]:
    """A devcontainer.json."""
    spaces = wiring.workspaces or ("${localWorkspaceFolder}",)
    first, *more = [f"source={space},target={space},type=bind" for space in spaces]
    rest = [f"source={source},target={to},type=bind,readonly" for source, to in wiring.mounts]
    return {
        "image": IMAGE,
        "workspaceMount": first,
        "workspaceFolder": spaces[0],
        "mounts": [*more, *rest],
    }


def _escape(path: str) -> str:
    # Compose puts variables in.
    return path.replace("$", "$$")


def _quote(text: str) -> str:
    # A JSON string is a YAML one.
    return json.dumps(text, ensure_ascii=False)
