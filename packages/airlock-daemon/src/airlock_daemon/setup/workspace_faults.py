"""Why a directory is no workspace, in words for a person."""

import errno
import os

from airlock_daemon.path_text import list_above
from airlock_daemon.setup.profile import Identity
from airlock_daemon.setup.state import Noted
from airlock_daemon.setup.workspaces import Entry
from airlock_modules import Fault
from airlock_wire import quote


def explain_unopened(entry: Entry, error: OSError) -> Fault:
    """The fault of a path that cannot be opened as a directory, without following links."""
    path = entry.path
    link = _find_link(path)
    real = os.path.realpath(path)
    if link is None and error.errno in (errno.ENOENT, errno.ENOTDIR):
        problem, remedy = f"{path} is no directory", "name a directory of this host"
    elif link is None:
        problem = f"{path} cannot be opened: {error.strerror}"
        remedy = "let the daemon's user enter it"
    elif os.path.isdir(real):
        problem = f"{path} is not followed: {link} is a symbolic link"
        told = real if real.isprintable() else quote(real, limit=None)
        remedy = f"if it should lead there, write the real path: {told}"
    else:
        problem = f"{path} is no directory: {link} is a symbolic link"
        remedy = "name a directory of this host"
    return Fault(entry.source, entry.key, problem, remedy)


def explain_replaced(entry: Entry, found: Identity, noted: Noted) -> Fault:
    """The fault of a directory in the place of the noted one."""
    problem = (
        f"{entry.path} has become another directory: {found.describe()}, and noted was "
        f"{noted.identity.describe()}"
    )
    remedy = f"put that one back, or accept this one: airlock agent trust {entry.agent}"
    return Fault(entry.source, entry.key, problem, remedy)


def _find_link(path: str) -> str | None:
    """The first component of an absolute path that is a symlink."""
    steps = (*reversed(tuple(list_above(path))), path)
    return next((step for step in steps if os.path.islink(step)), None)
