"""ssh: a command on another machine."""

import itertools
from collections.abc import Sequence

from e2e.world.git_server import GitServer
from e2e.world.keys import KeyPair
from e2e.world.scene import Scene
from e2e.world.secrets import PrivateKey, Secret

from .errand import Errand, Job


class Ssh(Errand):
    """A login as `guest` with the key in `~/.ssh`, one of `keys`."""

    name = "ssh"
    credential = ".ssh/id_ed25519"
    trusts = (".ssh/known_hosts",)
    lacks = refused = "Permission denied (publickey)"

    def __init__(self, server: GitServer, keys: Sequence[KeyPair], *, unlike: KeyPair) -> None:
        self.call = ("ssh", "-p", str(server.port), "guest@127.0.0.1")
        self.machine = server.container
        self._server = server
        self._keys = keys
        self._unlike = unlike
        self._number = itertools.count()

    def job(self, scene: Scene) -> Job:
        """Make a file on the other machine."""
        name = f"{scene.agent.name}-{next(self._number)}"
        here = ("test", "-f", f"/home/guest/{name}")
        return Job(
            argvs=[(*self.call, "touch", name)],
            arrived=lambda: self._server.run(*here).exit_code == 0,
        )

    def place(self, path: str, content: bytes) -> None:
        """Put a program, or what it needs, onto the other machine, unless that has it."""
        script = '[ -e "$0" ] || { cat >"$0" && chmod 755 "$0"; }'
        self._server.run("sh", "-c", script, path, stdin=content).succeeded()

    def forge(self) -> str:
        """Return another key."""
        return self._unlike.private.decode()

    def secrets(self) -> list[Secret]:
        """Return the private keys."""
        return [PrivateKey(key=key, unlike=self._unlike) for key in self._keys]
