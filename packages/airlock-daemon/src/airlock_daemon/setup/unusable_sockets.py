"""Why a sockets directory cannot be used, in words for a person."""

import os
import shlex
import stat
from collections.abc import Iterator

from airlock_daemon.setup.trust import name_user
from airlock_modules import Fault

DOCKER = "docker makes such a directory where a container mounts it before the daemon has started"


def find_unusable(path: str) -> Iterator[Fault]:
    """Find what keeps the current user from serving in the sockets directory `path`.

    It may be missing. Each remedy is a command; for a directory made by docker it also removes
    others' access, so that sockets in it may be open to every user of a container.
    """
    user = os.geteuid()
    if not os.path.lexists(path):
        yield from _find_unmakeable(path, user)
        return
    if not os.path.isdir(path):
        yield Fault(
            path, "", "is no directory", f"look at what it is, then: rm {shlex.quote(path)}"
        )
        return
    quoted = shlex.quote(path)
    own = f"sudo chown -R {user} {quoted} && chmod 700 {quoted}"
    if not _may_write(path):
        owner = os.stat(path).st_uid
        if owner == user:
            yield Fault(path, "", "is not writable", f"chmod u+rwx {quoted}")
        else:
            yield Fault(path, "", _say_owner(owner), own)
        return
    for entry in sorted(os.scandir(path), key=lambda entry: entry.name):
        info = entry.stat(follow_symlinks=False)
        # The daemon must set the mode of an agent's directory, which only its owner and root may.
        if stat.S_ISDIR(info.st_mode) and info.st_uid != user != 0:
            yield Fault(entry.path, "", _say_owner(info.st_uid), own)


def _find_unmakeable(path: str, user: int) -> Iterator[Fault]:
    parent = os.path.dirname(path)
    while not os.path.lexists(parent):
        parent = os.path.dirname(parent)
    if not _may_write(parent):
        remedy = f"sudo install -d -m 700 -o {user} {shlex.quote(path)}"
        yield Fault(path, "", f"cannot be made, as {parent} is not writable", remedy)


def _may_write(directory: str) -> bool:
    # By the effective user, if the system supports it.
    effective = os.access in os.supports_effective_ids
    return os.access(directory, os.W_OK | os.X_OK, effective_ids=effective)


def _say_owner(user: int) -> str:
    reason = f" ({DOCKER})" if user == 0 else ""
    return f"belongs to {name_user(user)}{reason}"
