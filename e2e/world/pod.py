"""A pod of Podman on this host's network, which the git server answers."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .command import Completed, run
from .git_server import GitServer
from .keys import KeyPair
from .manifests import write_for_podman
from .need import need
from .podman import why_not
from .registry import Registry
from .running import Running

_PROFILE = """\
commands = ["git-remote"]

[git]
push = ["git@{}/srv/*"]
refs = ["refs/heads/agent/**"]
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pod:
    """The pod `name`, from manifests in a file; its images are at the registry."""

    name: str
    file: Path
    profile: str
    secret: dict[str, str]
    registry: Registry

    def play(self, manifest: str) -> None:
        """Start what the manifest says, in the place of what runs, until the daemon serves."""
        self.file.write_text(write_for_podman(manifest, self.secret))
        login = f"--creds={self.registry.user}:{self.registry.password}"
        options = ("--replace", "--network=host", "--tls-verify=false", login)
        _podman("kube", "play", *options, str(self.file)).succeeded()
        with Running(("podman", "logs", "--follow", f"{self.name}-airlock")) as log:
            log.wait_for("airlock: ready")

    def call(self, container: str, line: str) -> str:
        """Return what a line prints in one of its containers."""
        words = ("exec", f"{self.name}-{container}", "sh", "-c", line)
        return _podman(*words).succeeded().stdout

    def remove(self) -> None:
        """Remove it, its secret, and its images."""
        if self.file.exists():
            _podman("kube", "down", "--force", str(self.file))
        images = _podman("images", "--quiet", f"--filter=reference={self.registry.address}/*")
        _podman("rmi", "--ignore", "--force", *images.stdout.split())


@contextmanager
def podman_pod(name: str, folder: Path, server: GitServer, registry: Registry) -> Iterator[Pod]:
    """Provide a pod that may push to every repository of the server."""
    need(why_not())
    key = KeyPair.make(folder / "pod-key")
    server.authorize(key)
    pod = Pod(
        name=name,
        file=folder / "pod.yaml",
        profile=_PROFILE.format(server.address),
        secret={
            "id_ed25519": key.private.decode(),
            "known_hosts": f"{server.address} {server.host_key}\n",
        },
        registry=registry,
    )
    try:
        yield pod
    finally:
        pod.remove()


def _podman(*words: str) -> Completed:
    return run(("podman", *words))
