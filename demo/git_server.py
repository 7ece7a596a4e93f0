"""A throw-away git server on 127.0.0.1 that requires a user name and a password."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from e2e.world.git_http import running_git_http

from demo.errors import DemoError


@dataclass(frozen=True)
class GitServer:
    """A running server with one bare repository, ``project.git``."""

    url: str
    """Of the repository, without a user name or password."""
    repository: Path

    def read_branch(self, name: str) -> str | None:
        """Return the commit id of a branch in the repository, None without the branch."""
        words = ("rev-parse", "--verify", "--quiet", f"refs/heads/{name}")
        return _git("--git-dir", str(self.repository), *words).stdout.strip() or None


@contextmanager
def serve_git(folder: Path, *, user: str, password: str) -> Iterator[GitServer]:
    """Serve a new bare repository in ``folder`` until the block ends.

    Raises DemoError if this git has no ``http-backend``.
    """
    programs = _git("--exec-path").stdout.strip()
    if not os.access(f"{programs}/git-http-backend", os.X_OK):
        raise DemoError(
            f"this git has no http-backend (looked in {programs}); "
            "your system may have it in a package of its own, often git-daemon"
        )
    repository = folder / "project.git"
    create = ("init", "--quiet", "--bare", "--initial-branch=main", str(repository))
    _git(*create).check_returncode()
    with running_git_http(folder, user=user, password=password, tls=None) as address:
        yield GitServer(f"{address}/{repository.name}", repository)


def _git(*words: str) -> subprocess.CompletedProcess[str]:
    # No user configuration: a hook or rewrite in it would affect the server.
    environment = {
        "PATH": os.environ.get("PATH", os.defpath),
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
    }
    return subprocess.run(
        ("git", *words), capture_output=True, text=True, env=environment, check=False
    )
