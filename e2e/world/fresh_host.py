"""A machine without Airlock: a container, and a user on it."""

import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .command import Completed
from .container import Container, started
from .engine import docker, one_at_a_time
from .images import RECIPES
from .product import make_base, read_python
from .project import TOOLS
from .wheels import CHECKOUT, download_wheels, gather_wheels

INSTALL = "/checkout/install.sh"
"""The installer under test, on the machine."""
WHEELS = "/wheels"
"""All wheels, on the machine."""
HOMES = {"root": "/root", "dev": "/home/dev"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshHosts:
    """The image of such a machine, and the folder of all wheels, mounted at WHEELS."""

    image: str
    wheels: Path

    @classmethod
    @one_at_a_time()
    def make(cls, folder: Path) -> "FreshHosts":
        """Make both; the wheels go below `folder`."""
        base = make_base()
        python = read_python(base)
        wheels = gather_wheels(folder, python=python)
        return cls(image=_build(base, python=python), wheels=wheels)

    @property
    def mounts(self) -> tuple[str, ...]:
        """The options of `docker run` that give a machine the installer and the wheels."""
        installer = f"--volume={CHECKOUT / 'install.sh'}:{INSTALL}:ro"
        return (installer, f"--volume={self.wheels}:{WHEELS}:ro")

    @contextmanager
    def running(self, *options: str, network: str = "none") -> Iterator["FreshHost"]:
        """Run a machine, by default without a network, for the length of the context."""
        words = ("--init", f"--network={network}", *self.mounts, *options)
        with started(self.image, *words) as container:
            yield FreshHost(container=container)


@dataclass(frozen=True, slots=True, kw_only=True)
class FreshHost:
    """The running machine."""

    container: Container

    def run(
        self,
        *argv: str,
        user: str = "dev",
        has: str = "",
        env: Mapping[str, str] | None = None,
        path: str = "",
    ) -> Completed:
        """Run a command at home; `has` names the available installers: "uv", "pipx", or both.

        `path` is prepended to PATH.
        """
        directories = [*filter(None, [path]), *(f"/opt/{name}" for name in has.split())]
        variables = {"PATH": ":".join([*directories, TOOLS]), "SHELL": "/bin/bash"}
        # Compiling what pip installs would take longer than all else.
        variables |= {"HOME": HOMES[user], "PIP_COMPILE": "0", **(env or {})}
        return self.container.run(*argv, cwd=HOMES[user], user=user, env=variables)

    def install(
        self,
        *options: str,
        user: str = "dev",
        has: str = "",
        shell: str = "sh",
        env: Mapping[str, str] | None = None,
        path: str = "",
    ) -> Completed:
        """Run the installer in a shell, which may be an applet such as that of busybox."""
        words = (*shell.split(), INSTALL, *options)
        return self.run(*words, user=user, has=has, env=env, path=path)

    def write(self, path: str, text: str, *, user: str = "dev") -> None:
        """Write an executable file owned by the user, and its directories."""
        script = 'mkdir -p "$(dirname "$1")" && cat > "$1" && chmod 755 "$1"'
        words = ("sh", "-c", script, "sh", path)
        self.container.run(*words, cwd="/", user=user, stdin=text.encode()).succeeded()

    def list_home(self, *, user: str = "dev") -> list[str]:
        """Return all paths in the home, except caches."""
        find = ("find", HOMES[user], "-mindepth", "1", "-not", "-path", "*/.cache*")
        found = self.run(*find, user=user).succeeded().stdout.splitlines()
        return sorted(path.removeprefix(f"{HOMES[user]}/") for path in found)


def _build(base: str, *, python: str) -> str:
    name = "airlock-e2e/fresh-host"
    with tempfile.TemporaryDirectory(prefix="airlock-e2e-") as context:
        shutil.copy(RECIPES / "fresh-host" / "Dockerfile", context)
        _put_uv(Path(context), python=python)
        words = (f"--build-arg=BASE={base}", f"--tag={name}", "--quiet")
        docker("build", *words, context).succeeded()
    return name


def _put_uv(folder: Path, *, python: str) -> None:
    """Put the programs `uv` and `uvx`, taken from their wheel, into a folder."""
    wheels = folder / "uv-wheel"
    wheels.mkdir()
    download_wheels(wheels, python=python, group="lock")
    (wheel,) = wheels.iterdir()
    with zipfile.ZipFile(wheel) as archive:
        for name in ("uv", "uvx"):
            (entry,) = (each for each in archive.namelist() if each.endswith(f"/scripts/{name}"))
            program = folder / name
            program.write_bytes(archive.read(entry))
            program.chmod(0o755)
            # Any constant time: the engine then finds that nothing changed.
            os.utime(program, (0, 0))
    shutil.rmtree(wheels)
