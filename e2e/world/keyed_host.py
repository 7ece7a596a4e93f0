"""A machine without Airlock that reaches the git server and has a key for it, to the first push."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path

from .fresh_host import WHEELS, FreshHost, FreshHosts
from .git_server import GitServer
from .keys import KeyPair
from .running import Running

HOME = "/home/dev"
INDEX = "http://127.0.0.1:8000/simple/"
VARIABLES = {"UV_DEFAULT_INDEX": INDEX, "PIP_INDEX_URL": INDEX, "GIT_SSH_VARIANT": "ssh"}
# The index of wheels, by PEP 503; pip is in it since pipx wants it.
_SERVE = """
for wheel in $1 /usr/share/python-wheels/pip-*.whl; do
  name=$(basename "$wheel" | cut -d- -f1 | tr _A-Z. -a-z-)
  mkdir -p "/index/simple/$name" && ln -sf "$wheel" "/index/simple/$name/"
done
exec python3 -u -m http.server --bind 127.0.0.1 --directory /index 8000
"""
_BEGIN = """
set -e
git init -q app && cd app && git remote add origin "$1"
git -c user.name=Ada -c user.email=ada@example.org commit -q --allow-empty -m begin
"""
# The shim is the client of this machine itself, in the place of ssh.
_PUSH = """
cd ~/app && AIRLOCK_SOCKET=~/.config/airlock/sockets/my/airlock.sock
export AIRLOCK_SOCKET GIT_SSH_COMMAND=~/bin/git-ssh
git push -q origin "HEAD:$1" && git rev-parse HEAD
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class KeyedHost:
    """The running machine; `has` names the installer that is there."""

    host: FreshHost
    has: str = ""

    def type(self, line: str, *words: str, user: str = "dev") -> str:
        """Return what a line prints, which must succeed."""
        argv = ("sh", "-c", line, "sh", *words)
        return self.host.run(*argv, has=self.has, user=user, env=VARIABLES).succeeded().stdout

    @contextmanager
    def index(self, wheels: str = f"{WHEELS}/*.whl") -> Iterator[None]:
        """Serve the wheels of these patterns at INDEX."""
        with self.host.container.start("sh", "-c", _SERVE, "sh", wheels, cwd="/") as index:
            index.wait_for("Serving HTTP")
            yield

    def begin(self, url: str) -> None:
        """Make the project, with a commit and this remote."""
        self.type(_BEGIN, url)

    def register(self, command: str) -> None:
        """Make Airlock's files, and an agent; `command` has braces for its words."""
        for words in ("init", "agent add my --workspace ~/app --command git-remote --yes"):
            self.type(command.format(words))

    def start(self, command: str) -> AbstractContextManager[Running]:
        """Start the daemon; it serves when it says `airlock: ready`."""
        start = command.format("start --agents ~/.config/airlock/agents.toml")
        path = f"export PATH=/opt/{self.has}:$PATH UV_DEFAULT_INDEX={INDEX}"
        line = f"{path}; echo $$ >daemon.pid; exec {start}"
        return self.host.container.start("su", "dev", "-c", line, cwd=HOME)

    def push(self, command: str, branch: str) -> str:
        """Push by the shim that the daemon's program has; return the commit."""
        self.type(f"mkdir -p ~/bin && {command.format('shim ~/bin/airlock-shim')}")
        self.type("~/bin/airlock-shim --install ~/bin git-ssh")
        with self.start(command) as daemon:
            daemon.wait_for("airlock: ready")
            pushed = self.push_only(branch)
            # It would outlive its caller, who is outside of the container.
            self.type("kill $(cat ~/daemon.pid)")
            daemon.wait()
            return pushed

    def push_only(self, branch: str) -> str:
        """The same, where shim and daemon are there."""
        return self.type(_PUSH, branch)


@contextmanager
def keyed_host(
    hosts: FreshHosts, server: GitServer, folder: Path, *options: str, has: str = ""
) -> Iterator[KeyedHost]:
    """Run a machine for the length of the context; its key is made in a new folder."""
    folder.mkdir()
    key = KeyPair.make(folder / "key")
    server.authorize(key)
    with hosts.running(*options, network="bridge") as host:
        host.write(f"{HOME}/.ssh/id_ed25519", key.private.decode())
        host.write(f"{HOME}/.ssh/known_hosts", f"{server.address} {server.host_key}\n")
        host.run("chmod", "-R", "go=", ".ssh").succeeded()
        yield KeyedHost(host=host, has=has)
