"""A client in a container that holds one file: the shim."""

import io
import os
import secrets
import subprocess
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.world.engine import Engine

from demo.client import Answer, run_command
from demo.errors import DemoError
from demo.places import Places

WORKSPACE = "/workspace"
"""Where the container sees the workspace."""

_LABEL = "airlock.demo"


@dataclass(frozen=True)
class ContainerClient:
    """Runs each command in a container of its own: no network, no libc, no git, no credential."""

    engine: Engine
    image: str
    label: str
    places: Places

    def git(self, *words: str) -> Answer:
        """Run the shim as the container's only process."""
        command = [
            *(self.engine.cli, "run", "--rm", "--pull", "never"),
            *("--label", self.label, "--network", "none", "--user", f"{os.getuid()}:{os.getgid()}"),
            # A socket and files of another label are what SELinux keeps a container from.
            *("--security-opt", "label=disable"),
            *("--volume", f"{self.places.workspace}:{WORKSPACE}", "--workdir", WORKSPACE),
            *("--volume", f"{self.places.socket.parent}:/run/airlock:ro"),
            *(self.image, "git", *words),
        ]
        return run_command(command, self.engine.variables(), cwd=self.places.root)


@contextmanager
def offer_container(engine: Engine, places: Places, *, shim: Path) -> Iterator[ContainerClient]:
    """Make the image and, when the block ends, remove it and every container made from it.

    Nothing is pulled: the image is a tar archive with the shim in it. Raises DemoError when the
    engine refuses.
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
            "ENV PATH=/bin",
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
    archive = io.BytesIO()
    content = shim.read_bytes()
    with tarfile.open(fileobj=archive, mode="w") as tar:
        entry = tarfile.TarInfo("bin/git")
        entry.size, entry.mode = len(content), 0o755
        tar.addfile(entry, io.BytesIO(content))
    return archive.getvalue()


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
