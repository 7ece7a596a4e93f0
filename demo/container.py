"""A client in a container with git, the shim, and nothing else."""

import io
import os
import re
import secrets
import shutil
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.world.engine import Engine

from demo.client import HELPERS, SHIM, Answer, find_programs, run_command
from demo.errors import DemoError
from demo.places import Places

WORKSPACE = "/workspace"
"""The workspace's path in the container."""

_LABEL = "airlock.demo"


@dataclass(frozen=True)
class ContainerClient:
    """Runs each command in its own container: no network, no shell, no credential."""

    engine: Engine
    image: str
    label: str
    places: Places

    def git(self, *words: str) -> Answer:
        """Run git as the container's first process."""
        return self._run("git", *words)

    def host_git(self, *words: str) -> Answer:
        """Run the shim as the container's first process."""
        return self._run(str(find_programs() / SHIM), *words)

    def _run(self, *first: str) -> Answer:
        command = [
            *(self.engine.cli, "run", "--rm", "--pull", "never"),
            *("--label", self.label, "--network", "none", "--cap-drop", "ALL"),
            *("--user", f"{os.getuid()}:{os.getgid()}"),
            # SELinux denies a container access to sockets and files of another label.
            *("--security-opt", "label=disable"),
            *("--volume", f"{self.places.workspace}:{WORKSPACE}", "--workdir", WORKSPACE),
            *("--volume", f"{self.places.socket.parent}:/run/airlock:ro"),
            *(self.image, *first),
        ]
        return run_command(command, self.engine.variables(), cwd=self.places.root)


@contextmanager
def offer_container(engine: Engine, places: Places, *, shim: Path) -> Iterator[ContainerClient]:
    """Make the image and, when the block ends, remove it and every container made from it.

    Nothing is pulled: the image is a tar archive with this machine's git and the shim in it. Raises
    DemoError when the engine refuses.
    """
    run = secrets.token_hex(4)
    client = ContainerClient(
        engine, image=f"airlock-demo:{run}", label=f"{_LABEL}={run}", places=places
    )
    _docker(
        engine,
        *(
            "import",
            "--change",
            f"ENV PATH={_find_git().parent} HOME=/",
            "--change",
            f"LABEL {client.label}",
            "-",
            client.image,
        ),
        stdin=_pack(shim),
    )
    try:
        yield client
    finally:
        left = _docker(
            engine, "ps", "--all", "--quiet", "--filter", f"label={client.label}"
        ).split()
        if left:
            _docker(engine, "rm", "--force", *left)
        _docker(engine, "image", "rm", "--force", client.image)


def _pack(shim: Path) -> bytes:
    git = _find_git()
    places = {path: path for path in (git, *_find_libraries(git))}
    places |= {find_programs() / name: shim for name in (*HELPERS, SHIM)}
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        for place, source in places.items():
            content = source.read_bytes()
            entry = tarfile.TarInfo(str(place).removeprefix("/"))
            entry.size, entry.mode = len(content), 0o755
            tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


def _find_git() -> Path:
    program = shutil.which("git")
    if program is None:
        raise DemoError("git is not on PATH")
    return Path(program)


def _find_libraries(program: Path) -> list[Path]:
    """Return a program's libraries, by ldd(1); none for a static one."""
    done = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
    return [Path(path) for path in re.findall(r"(?:^\s*|=> )(/\S+) \(", done.stdout, re.MULTILINE)]


def _docker(engine: Engine, *words: str, stdin: bytes = b"") -> str:
    done = subprocess.run(
        [engine.cli, *words],
        input=stdin,
        capture_output=True,
        env=engine.variables(),
        check=False,
        timeout=60,
    )
    if done.returncode:
        raise DemoError(f"docker {words[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode()
