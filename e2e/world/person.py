"""A user with a key and access to Docker, who types what the documentation says."""

import shlex
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from . import engine
from .account import Account
from .command import Completed, run
from .daemon import Daemon
from .executables import Executables
from .project import TOOLS
from .reach import command_line


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """A user with an account; Airlock's programs are on PATH, behind those in `programs`."""

    account: Account
    executables: Executables
    programs: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """Return the user's login environment."""
        first = "" if self.programs is None else f"{self.programs}:"
        return self.account.environment(path=f"{first}{self.executables.daemon.parent}:{TOOLS}")

    @property
    def files(self) -> Path:
        """Return the directory of the user's Airlock files."""
        return self.account.home / ".config/airlock"

    def start(self, *sockets: str, said: Path) -> Daemon:
        """Start the daemon, whose output goes to `said`.

        It serves `sockets`, by default "my/airlock.sock".
        """
        return Daemon(
            self.shell(f"exec airlock-daemon start --agents {self.files}/agents.toml"),
            said=said,
            sockets=lambda: [
                self.files / "sockets" / each for each in sockets or ["my/airlock.sock"]
            ],
            environment=self.environment,
        )

    def shell(self, line: str) -> tuple[str, ...]:
        """Return the argv of the user's shell with one line."""
        words = command_line(Path("/bin/sh"), self.account, alongside=[self.executables.daemon])
        return (*words, "-c", line)

    def try_line(self, line: str, *, cwd: Path, stdin: bytes = b"") -> Completed:
        """Run a line that may fail."""
        return run(self.shell(line), cwd=str(cwd), env=self.environment, stdin=stdin)

    def run(self, line: str, *, cwd: Path) -> str:
        """Return the output of a line, which must succeed."""
        return self.try_line(line, cwd=cwd).succeeded().stdout

    def run_at_terminal(self, line: str, *, cwd: Path) -> str:
        """The same on a terminal, as if the line was typed."""
        words = ("script", "--quiet", "--return", "--command", line, "/dev/null")
        return self.run(shlex.join(words), cwd=cwd)


@contextmanager
def newcomer(
    account: Account, executables: Executables, *, programs: Path | None = None
) -> Iterator[Person]:
    """Provide a user whose home has no Airlock files; remove what was created there."""
    before = _list_made(account.home)
    try:
        yield Person(account=account, executables=executables, programs=programs)
    finally:
        engine.remove_made(account.home / ".local/state/airlock")
        for made in sorted(_list_made(account.home) - before, reverse=True):
            if made.is_dir() and not made.is_symlink():
                shutil.rmtree(made)
            else:
                made.unlink()


def _list_made(home: Path) -> set[Path]:
    """The entries of a home, and of the directories there that programs share."""
    shared = (
        home,
        *(home / each for each in (".config", ".local", ".local/share", ".local/state")),
    )
    return {each for directory in shared if directory.is_dir() for each in directory.iterdir()}


def find_block(text: str, start: str) -> str:
    """Return the lines of the indented command that begins with `start`."""
    lines = text.splitlines()
    first = next(n for n, line in enumerate(lines) if line.strip().startswith(start))
    last = next(n for n, line in enumerate(lines[first:], first) if not line.endswith("\\"))
    return "\n".join(lines[first : last + 1])
