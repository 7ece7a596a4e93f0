"""What a service manager starts: the program, its arguments, and variables of the caller's."""

import os
import sys
from collections.abc import Mapping

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_wire import quote


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """The words that run this program, from an absolute path on; its options; and variables."""

    words: tuple[str, ...]
    options: tuple[str, ...]
    environment: dict[str, str]

    @property
    def argv(self) -> tuple[str, ...]:
        """The argument vector of the daemon."""
        return (*self.words, "start", *self.options)

    @property
    def reload(self) -> tuple[str, ...]:
        """The argument vector that has that daemon reload, and waits until it has."""
        return (*self.words, "reload", *self.options)


def describe_program(*options: str, environment: Mapping[str, str]) -> Program:
    """`start` with these options and the caller's PATH and SSH_AUTH_SOCK.

    Entries of PATH that are not absolute are left out: a service has no such directory. Raises
    AirlockError where a word cannot be written to the file of a service.
    """
    entries = environment.get("PATH", os.defpath).split(os.pathsep)
    kept = {"PATH": os.pathsep.join(filter(os.path.isabs, entries))}
    if agent := environment.get("SSH_AUTH_SOCK"):
        kept["SSH_AUTH_SOCK"] = agent
    program = Program(words=find_self(), options=options, environment=kept)
    for text in (*program.argv, *kept.values()):
        if not text.isprintable():
            raise AirlockError(
                f"{quote(text)} cannot be written to the file of a service",
                hint="rename it, without characters that cannot be printed",
            )
    return program


def find_self() -> tuple[str, ...]:
    """The words that run this program again, the first one an absolute path.

    A link stays one, so that what it leads to may be replaced by a newer version. Called as
    `airlock` it is the `airlock-daemon` beside that.
    """
    folder, name = os.path.split(os.path.abspath(sys.argv[0]))
    program = os.path.join(folder, "airlock-daemon")
    if name in ("airlock-daemon", "airlock") and os.access(program, os.X_OK):
        return (program,)
    return (sys.executable, "-m", "airlock_daemon")
