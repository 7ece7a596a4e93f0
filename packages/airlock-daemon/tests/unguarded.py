"""``unguarded.py GUARDS NAMESPACE ...``: `airlock-daemon` with workspace guards switched off.

GUARDS are comma-separated names of OFF. With "pid" as NAMESPACE it runs in its own pid namespace
and, like a daemon in a container, cannot see its clients.
"""

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from airlock_daemon.admin.cli import main, mounted_workspaces
from airlock_daemon.boundary.workspace import beneath, directory
from airlock_daemon.setup import paths, profile, workspaces
from airlock_daemon.setup.profile import Identity
from airlock_daemon.setup.state import Noted
from airlock_modules import Fault


def _put(where: object, name: str, value: object) -> None:
    """Replace an attribute; raises AttributeError if it does not exist."""
    getattr(where, name)
    setattr(where, name, value)


def links() -> None:
    """Follow links in the path of a workspace."""

    def follow(path: str, flags: int, *, at_once: bool = False) -> int:
        return os.open(path, flags)

    _put(profile, "open_without_links", follow)
    _put(beneath, "open_without_links", follow)


def nesting() -> None:
    """Permit nested workspaces."""

    def find_none(_: object, __: object) -> Iterator[Fault]:
        return iter(())

    _put(workspaces.Workspaces, "find_faults", find_none)


def notes() -> None:
    """Take any directory for the recorded one."""

    def renew(_: Noted | None, found: Identity, *, boot: str) -> Noted:
        return Noted.of(found, boot=boot)

    _put(workspaces, "renew", renew)
    _put(directory, "refuse_replaced", lambda *_: None)
    _put(mounted_workspaces, "refuse_replaced", lambda *_: None)


def homes() -> None:
    """Permit a workspace in the home of a container."""
    judge = paths.Reserved.conflict

    def exempt(self: paths.Reserved, path: str, *, may_be_home: bool = True) -> str | None:
        return judge(self, path, may_be_home=may_be_home or self.homes is not None)

    _put(paths.Reserved, "conflict", exempt)
    _put(workspaces, "_list_homes", lambda *_: {})


_ALL = (links, nesting, notes, homes)
OFF: dict[str, Callable[[], None]] = {each.__name__: each for each in _ALL}


def options(*guards: str, namespace: str = "") -> tuple[str, ...]:
    """Python's arguments to run `airlock-daemon` so."""
    return (str(Path(__file__)), ",".join(guards) or "-", namespace or "-")


if __name__ == "__main__":
    guards, namespace = sys.argv[1:3]
    if namespace == "pid":
        words = (sys.executable, __file__, guards, "-", *sys.argv[3:])
        os.execvp("unshare", ("unshare", "--pid", "--fork", "--kill-child", "--mount-proc", *words))
    del sys.argv[1:3]
    for guard in guards.strip("-").split(","):
        if guard:
            OFF[guard]()
    main()
