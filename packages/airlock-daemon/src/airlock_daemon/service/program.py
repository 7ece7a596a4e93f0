"""What a service manager starts: the program, its arguments, and variables of the caller's."""

import os
import sys
from collections.abc import Mapping

import msgspec

from airlock_daemon.errors import AirlockError
from airlock_wire import quote


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """An argument vector, whose first word is an absolute path, and an environment."""

    argv: tuple[str, ...]
    environment: dict[str, str]


def describe_program(*options: str, environment: Mapping[str, str]) -> Program:
    """`start` with these options and the caller's PATH and SSH_AUTH_SOCK.

    Entries of PATH that are not absolute are left out: a service has no such directory. Raises
    AirlockError where a word cannot be written to the file of a service.
    """
    entries = environment.get("PATH", os.defpath).split(os.pathsep)
    kept = {"PATH": os.pathsep.join(filter(os.path.isabs, entries))}
    if agent := environment.get("SSH_AUTH_SOCK"):
        kept["SSH_AUTH_SOCK"] = agent
    argv = (*find_self(), "start", *options)
    for text in (*argv, *kept.values()):
        if not text.isprintable():
            raise AirlockError(
                f"{quote(text)} cannot be written to the file of a service",
                hint="rename it, without characters that cannot be printed",
            )
    return Program(argv=argv, environment=kept)


def find_self() -> tuple[str, ...]:
    """The words that run this program again, the first one an absolute path.

    A link stays one, so that what it leads to may be replaced by a newer version.
    """
    called = os.path.abspath(sys.argv[0])
    if os.path.basename(called) == "airlock-daemon" and os.access(called, os.X_OK):
        return (called,)
    return (sys.executable, "-m", "airlock_daemon")
