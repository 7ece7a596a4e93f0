"""Remotes, and two gits to reach them: a plain one with the credential, and a container's."""

import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from bench.calls import Call
from bench.deployment import base_environment
from bench.errors import BenchError
from bench.setup_files import find_program
from bench.transports import Transport

_IDENTITY = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
_DATE = "1700000000 +0000"


class Repository:
    """A bare repository whose copies are the remotes."""

    def __init__(self, path: Path) -> None:
        self.path = path
        _git("init", "--quiet", "--bare", "--initial-branch=main", str(path))

    def grow(self, commits: int) -> None:
        """Add so many commits to `main`, each changing one of some files."""
        lines = []
        for number in range(1, commits + 1):
            said = f"commit {number}\n"
            text = f"{number} and something that takes a line of its own\n"
            lines.append(
                f"commit refs/heads/main\ncommitter bench <bench@example.com> {_DATE}\n"
                f"data {len(said)}\n{said}\n"
                f"M 100644 inline folder-{number % 97}/file-{number % 31}\n"
                f"data {len(text)}\n{text}\n"
            )
        self.git("fast-import", "--quiet", said="".join(lines).encode())

    def commit_file(self, file: Path) -> str:
        """Commit only that file, uncompressed; return the commit's id."""
        plain = ("-c", "core.compression=0", "-c", "core.bigFileThreshold=1m")
        blob = self.git(*plain, "hash-object", "-w", str(file))
        return self._commit(blob, str(file))

    def commit_on(self, before: str, text: str) -> str:
        """Commit only a file with `text` on top of another commit; return the commit's id."""
        blob = self.git("hash-object", "-w", "--stdin", said=text.encode())
        return self._commit(blob, text, "-p", before)

    def copy(self, path: Path) -> None:
        """Make a repository with the same commits, which stores received packs unchanged."""
        if path.exists():
            shutil.rmtree(path)
        _git("clone", "--quiet", "--bare", str(self.path), str(path))
        _git("--git-dir", str(path), "config", "receive.unpackLimit", "1")

    def git(self, *words: str, said: bytes = b"") -> str:
        """Run git in it and return the output. Raises BenchError."""
        return _git("--git-dir", str(self.path), *words, said=said)

    def _commit(self, blob: str, title: str, *parents: str) -> str:
        tree = self.git("mktree", said=f"100644 blob {blob}\tfile\n".encode())
        return self.git(*_IDENTITY, "commit-tree", tree, "-m", title, *parents)


class Side:
    """One git: `call` makes commands that see only its own configuration."""

    def __init__(self, transport: Transport, home: Path, more: Mapping[str, str]) -> None:
        home.mkdir()
        self._url = transport.url
        self._environment = base_environment(home) | dict(more)

    def call(self, at: Repository, *words: str) -> Call:
        """A git command in that repository."""
        argv = ("git", "--git-dir", str(at.path), *words)
        return Call(find_program("git"), argv, self._environment)

    def url(self, remote: Path) -> str:
        """The remote's URL for this git."""
        return f"{self._url}{remote}"


def _git(*words: str, said: bytes = b"") -> str:
    done = subprocess.run(["git", *words], input=said, capture_output=True, check=False)
    if done.returncode:
        raise BenchError(f"git {words[0]} failed: {done.stderr.decode(errors='replace').strip()}")
    return done.stdout.decode().strip()
