"""A server of git repositories over ssh (a real sshd) and https.

It runs in a container and is published on this host's loopback address.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from .command import Completed
from .container import Container, serving
from .engine import docker
from .keys import KeyPair


@dataclass(frozen=True, slots=True, kw_only=True)
class Repository:
    """A bare repository of the server, at `path` there."""

    server: "GitServer"
    path: str

    @property
    def url(self) -> str:
        """The address for a client on this host."""
        return f"ssh://git@127.0.0.1:{self.server.port}{self.path}"

    @property
    def web_url(self) -> str:
        """The address for a client on this host that has a password."""
        return f"{self.server.web}/git{self.path.removeprefix('/srv')}"

    @property
    def url_from_containers(self) -> str:
        """The address for a client in another container on the default bridge."""
        return f"ssh://git@{self.server.address}{self.path}"

    def commit(self, branch: str) -> str | None:
        """Return the commit id at the tip of `branch`, or None without that branch."""
        ref = f"refs/heads/{branch}"
        shown = self._git("rev-parse", "--verify", "--quiet", ref)
        return shown.stdout or None

    def keys_used(self) -> list[str]:
        """Return the public keys that authenticated the pushes so far, oldest first."""
        return [" ".join(words[1:3]) for words in self._noted() if words[:1] == ["publickey"]]

    def _noted(self) -> list[list[str]]:
        noted = self.server.run("cat", f"{self.path}/pushed-by")
        return [line.split() for line in noted.stdout.splitlines()]

    def _git(self, *arguments: str) -> Completed:
        return self.server.run("git", f"--git-dir={self.path}", *arguments)


@dataclass(frozen=True, slots=True, kw_only=True)
class GitServer:
    """The running server.

    `port` is sshd's on 127.0.0.1, `web` the address of the https server there, `address` the
    container's own. `host_key` is its public host key and `authority` the CA certificate of the
    https server, both read from the container's files, not learnt over the network.
    """

    container: str
    port: int
    web: str
    address: str
    host_key: str
    authority: str

    @classmethod
    def describe(cls, container: Container) -> "GitServer":
        """Describe the server in the running `container`."""
        name = container.id
        address = docker("inspect", "--format", "{{.NetworkSettings.IPAddress}}", name).succeeded()
        key = docker("exec", name, "cat", "/etc/ssh/ssh_host_ed25519_key.pub").succeeded()
        authority = docker("exec", name, "cat", "/etc/https/authority.pem").succeeded()
        return cls(
            container=name,
            port=container.find_port(22),
            web=f"https://127.0.0.1:{container.find_port(443)}",
            address=address.stdout,
            host_key=" ".join(key.stdout.split()[:2]),
            authority=authority.stdout + "\n",
        )

    def run(self, *argv: str, stdin: bytes = b"") -> Completed:
        """Run a program in the server's container as root."""
        return docker("exec", "--interactive", self.container, *argv, stdin=stdin)

    def known_hosts(self) -> str:
        """Return the known_hosts line that pins this server for clients on this host."""
        return f"[127.0.0.1]:{self.port} {self.host_key}\n"

    def authorize(self, key: KeyPair) -> None:
        """Permit `key` to push by ssh to every repository, and to log in as `guest`."""
        line = f"{key.public}\n".encode()
        append = "cat >>/etc/ssh/authorized_keys"
        self.run("sh", "-c", append, stdin=line).succeeded()

    def admit(self, user: str, password: str) -> None:
        """Permit `user` to push by https with the password to every repository."""
        line = f"{user}:{password}\n".encode()
        self.run("sh", "-c", "cat >>/etc/https/users", stdin=line).succeeded()

    def make_repository(self, name: str) -> Repository:
        """Make an empty bare repository."""
        path = f"/srv/{name}.git"
        docker(
            "exec", "--user", "git", self.container, "git", "init", "--quiet", "--bare", path
        ).succeeded()
        return Repository(server=self, path=path)


@contextmanager
def running_git_server(image: str) -> Iterator[GitServer]:
    """Serve for the length of the context."""
    with serving(image, 22, 443, says="Server listening on 0.0.0.0 port 22") as container:
        yield GitServer.describe(container)
