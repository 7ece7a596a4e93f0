"""What is asked of a service manager, whichever one it is."""

import os
import subprocess
from collections.abc import Iterator, Sequence
from typing import Protocol

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_daemon.service.program import Program

# Starting waits until the daemon serves, stopping until its commands have ended.
_LONGEST_S = 600


class Obstacle(msgspec.Struct, frozen=True):
    """Why there is no service manager for this user, and how there would be one, "" for none."""

    reason: str
    remedy: str = ""


class Manager(Protocol):
    """A service manager of this user. Each step that fails raises AirlockError."""

    @property
    def file(self) -> str:
        """Path of the file that describes the service."""

    @property
    def advice(self) -> str:
        """The command or the place for a person's own settings, which no installation touches."""

    def write(self, program: Program) -> str:
        """The sealed text of the file for `program`."""

    def find_obstacle(self) -> Obstacle | None:
        """What keeps the manager from being asked, None where it answers."""

    def prepare(self) -> None:
        """Have the manager read the file, and start the service with the session or at boot."""

    def is_running(self) -> bool:
        """Whether the daemon runs as this service."""

    def start(self) -> None:
        """Start the service; returns once it serves."""

    def restart(self) -> None:
        """Stop the service and start it anew; returns once it serves."""

    def remove(self) -> None:
        """Stop the service, and start it no more; its file is there still."""

    def settle(self) -> None:
        """Have the manager notice that the file is gone."""

    def names(self, text: str, word: str) -> bool:
        """Whether `word` is an argument of the daemon in a file with this text."""

    def warn(self) -> Iterator[str]:
        """What keeps the service from running when it should, with the command that mends it."""


def ask(argv: Sequence[str], *, longest_s: float = _LONGEST_S) -> tuple[int, str]:
    """Run a program to its end, or for `longest_s` seconds; its exit status, and what it said.

    127 where there is no such program.
    """
    try:
        done = subprocess.run(
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=longest_s,
            check=False,
        )
    except OSError as error:
        return 127, error.strerror or str(error)
    except subprocess.TimeoutExpired:
        return 124, f"no answer within {longest_s:g} s"
    return done.returncode, (done.stderr or done.stdout).strip()


def demand(argv: Sequence[str], *, hint: str) -> None:
    """The same, where it must succeed. Raises AirlockError with what was said, and the hint."""
    status, said = ask(argv)
    if status != 0:
        what = " ".join((os.path.basename(argv[0]), *argv[1:]))
        raise AirlockError(f"{what} failed ({status}): {said}", hint=hint)
