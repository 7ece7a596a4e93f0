"""Airlock's delivered images, built from the Dockerfiles in docker/."""

import os
from dataclasses import dataclass
from pathlib import Path

from .engine import docker, one_at_a_time
from .image_context import make_context
from .images import bootstrap_debian
from .wheels import CHECKOUT

RECIPES = CHECKOUT / "docker"

BASE_PACKAGES = ("bubblewrap", "ca-certificates", "git", "openssh-client", "python3-venv")
"""The packages that the daemon's image needs in its base, so that its build needs no network."""

ALIVE = ("airlock-daemon", "doctor", "--alive", "--sockets", "/run/airlock/sockets")
"""The health check of the daemon's image."""

HARDENED = (
    "--read-only",
    "--tmpfs=/tmp",
    "--cap-drop=ALL",
    "--security-opt=no-new-privileges",
    "--network=none",
)
"""Options of `docker run` that restrict a container to what the docs say it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Product:
    """Names of the delivered images, which exist, and their build context."""

    context: Path
    daemon: str
    shim: str

    @classmethod
    @one_at_a_time()
    def make(cls, *, context: Path | None, folder: Path) -> "Product":
        """Build the images for this machine, without a network.

        Without a `context` one is made from the checkout, in `folder`.
        """
        base = make_base()
        if context is None:
            context = make_context(folder, python=read_python(base))
        return cls(
            context=context,
            daemon=build("Dockerfile.daemon", context, f"--build-arg=BASE={base}"),
            shim=build("Dockerfile.shim", context),
        )


def build(recipe: str, context: Path, *options: str, name: str = "", network: str = "none") -> str:
    """Build `docker/RECIPE` and return the image's name.

    `name` is derived from the recipe's by default. `options` go to `docker build`.
    """
    tag = f"airlock-e2e/product-{name or Path(recipe).suffix.removeprefix('.')}"
    words = (f"--file={RECIPES / recipe}", f"--network={network}", f"--tag={tag}", *options)
    docker("build", "--quiet", *words, str(context), longest_s=600).succeeded()
    return tag


def make_base() -> str:
    """Make the base of the daemon's image, and return its name."""
    return bootstrap_debian("airlock-e2e/python", packages=BASE_PACKAGES)


def read_python(image: str) -> str:
    """Return the release of an image's Python, such as 3.13."""
    ask = "import sys; print(*sys.version_info[:2], sep='.')"
    return docker("run", "--rm", "--network=none", image, "python3", "-c", ask).succeeded().stdout


def write_agent(folder: Path, profile: str) -> tuple[str, str]:
    """Write an agent, `my-agent`, below `folder`; return its mounts for the daemon."""
    directory = folder / "agents" / "my-agent"
    directory.mkdir(parents=True)
    (directory / "airlock.toml").write_text(profile)
    registration = folder / "agents.toml"
    registration.write_text('[my-agent]\npath = "/agents/my-agent"\n')
    for path in (folder, folder / "agents", directory):
        os.chmod(path, 0o755)
    return (
        f"--volume={registration}:/etc/airlock/agents.toml:ro",
        f"--volume={folder / 'agents'}:/agents:ro",
    )
