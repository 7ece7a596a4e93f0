"""A daemon whose agent attacks out of boxes, and what it is asked."""

import json
import os
import socket
import subprocess
import sys
from contextlib import suppress
from typing import Any

from e2e.canary.boxes.host import Host
from e2e.canary.boxes.world import BoxWorld
from e2e.canary.scene import carry, hear, read_output
from e2e.world.client import Client
from e2e.world.daemon import Daemon
from e2e.world.errors import PATIENCE_S
from e2e.world.lines import make_request

# Below a directory of the host, if somebody gave one away.
_WANTED = (
    "etc/shadow",
    "id_ed25519",
    "../../../../../../../../../../etc/shadow",
    "../.ssh/id_ed25519",
)

_CLIENT = """
import os, socket, sys
with socket.socket(socket.AF_UNIX) as connection:
    connection.connect(sys.argv[1])
    connection.sendall(sys.stdin.buffer.read())
    while piece := connection.recv(65536):
        os.write(1, piece)
"""


class BoxScene:
    """`daemon` serves `world` on `host`; `requests` counts what was asked of it, of each agent."""

    def __init__(self, world: BoxWorld, host: Host, daemon: Daemon) -> None:
        self.world = world
        self.host = host
        self.daemon = daemon
        self.requests: dict[str, int] = {}

    def fill(self, text: str) -> str:
        """Put what the world and its host have for each `<name>`."""
        text = self.world.fill(text).replace("<daemon>", str(self.daemon.pid))
        text = text.replace("<landlock>", str(self.world.by.maker == "landlock"))
        for name, value in self.host.names.items():
            text = text.replace(f"<{name}>", value)
        return text

    def connect(self, agent: str = "my") -> Client:
        """A connection on which one request will be made."""
        self.requests[agent] = self.requests.get(agent, 0) + 1
        return Client(self.world.socket(agent))

    def run(
        self,
        command: str,
        *words: str,
        way: str = "messages",
        cwd: str = "<here>",
        says: bytes = b"",
        agent: str = "my",
        **params: Any,
    ) -> bytes:
        """Ask, and return all that comes back. `way` is "pipes" to pass them, else "messages".

        With "socket" its stdin is one, and descriptors that come over that are used as root of
        a container could. With "container" it is asked from namespaces as those of one.
        """
        params |= {"cwd": self.fill(cwd)}
        if way == "container":
            self.requests["my"] = self.requests.get("my", 0) + 1
            return _ask_inside(self.world.socket("my"), make_request(command, *words, **params))
        with self.connect(agent) as client:
            if way == "socket":
                return _pass_socket(
                    client, make_request(command, *words, **{**params, "features": ["fds"]})
                )
            if way == "pipes":
                return carry(
                    client, make_request(command, *words, **{**params, "features": ["fds"]}), says
                )
            client.send(make_request(command, *words, **params))
            return hear(client)


def _ask_inside(path: os.PathLike[str] | str, line: bytes) -> bytes:
    """Ask from pid and mount namespaces of their own; all that comes back, as `hear` has it."""
    apart = ("unshare", "--pid", "--mount", "--fork", "--mount-proc", "--kill-child")
    argv = [*apart, sys.executable, "-c", _CLIENT, os.fspath(path)]
    done = subprocess.run(argv, input=line, stdout=subprocess.PIPE, check=True, timeout=PATIENCE_S)
    output = (read_output(json.loads(each)) for each in done.stdout.splitlines())
    return b"\n".join((done.stdout, *output))


def _pass_socket(client: Client, line: bytes) -> bytes:
    """Make the request with a socket for its streams; what comes of descriptors over it, too."""
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            client.send(line, [theirs.fileno()] * 3)
        seen = [hear(client)]
        ours.settimeout(0)
        with suppress(BlockingIOError, ConnectionResetError):
            while True:
                data, descriptors, _, _ = socket.recv_fds(ours, 65536, 16)
                if not data:
                    break
                seen.append(data)
                seen += [_use(each) for each in descriptors]
    return b"\n".join(seen)


def _use(descriptor: int) -> bytes:
    """What root of a container can have by a descriptor that came to it."""
    seen = [b"a descriptor of " + os.fsencode(os.readlink(f"/proc/self/fd/{descriptor}"))]
    try:
        for path in _WANTED:
            with suppress(OSError):
                found = os.open(path, os.O_RDONLY, dir_fd=descriptor)
                seen.append(os.read(found, 4096))
                os.close(found)
    finally:
        os.close(descriptor)
    return b"\n".join(seen)
