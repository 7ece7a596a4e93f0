"""The process at the other end of a connection, by the kernel's word alone."""

import errno
import functools
import os
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

import msgspec
from msgspec.structs import replace

from airlock_daemon.errors import NO_DESCRIPTORS, Denied, is_full_table
from airlock_daemon.platform.linux.mountinfo import MountRow, parse_mountinfo, shows_all
from airlock_daemon.platform.linux.peer import (
    Credentials,
    is_dead,
    peer_pidfd,
    read_namespaces,
    read_parent,
)
from airlock_daemon.platform.linux.procfs import read_process_entry, read_process_file

# More generations than any process has, should the table of processes change while it is read.
GENERATIONS = 256

KEPT = 16

# How often a table of processes that changes while it is read is read again.
ATTEMPTS = 8


class Ancestry:
    """Tells the descendants of process `ancestor` from all others. Its owner must `close` it.

    A process that is none can never become one: the kernel hands orphans up, to ancestors that they
    had before. So some that were found to be none are remembered, by descriptors, which no other
    process can take over as a number can be; and a client whose shell is known needs no walk up to
    the first process.
    """

    def __init__(self, ancestor: int) -> None:
        self._ancestor = ancestor
        self._strangers: dict[int, int] = {}

    def includes(self, pid: int, *, parent: int | None = None) -> bool:
        """Whether `pid` descends from the ancestor; True also when that cannot be told.

        `parent` is the parent of `pid`, where that is known.
        """
        if pid == self._ancestor:
            return True
        start = pid if parent is None else parent
        if start in self._strangers and self._is_stranger(start):
            return False
        for _ in range(ATTEMPTS):
            try:
                return self._descends(start, asks=pid)
            except ProcessLookupError:
                # Somebody above has ended: `docker exec` does so as soon as its command runs. Where
                # the orphans were handed to is asked of the client itself.
                start = pid
            except OSError:
                return True
        return True

    def close(self) -> None:
        """Give back all descriptors."""
        _close(self._strangers)
        self._strangers.clear()

    def _descends(self, start: int, *, asks: int) -> bool:
        walked: dict[int, int] = {}
        try:
            is_one = self._walk(start, walked)
            # The client itself asks once.
            for stranger in () if is_one else walked.keys() - {asks}:
                self._remember(stranger, walked.pop(stranger))
        finally:
            _close(walked)
        return is_one

    def _walk(self, pid: int, walked: dict[int, int]) -> bool:
        """Raises ProcessLookupError where one of them ends meanwhile, or OSError."""
        for _ in range(GENERATIONS):
            if pid == self._ancestor:
                return True
            if pid <= 1 or self._is_stranger(pid):
                return False
            # Before it is looked at: what is read is then of the process that this holds, as long
            # as that lives.
            walked[pid] = os.pidfd_open(pid)
            try:
                stat = read_process_entry(pid, "stat")
            except FileNotFoundError as error:
                raise ProcessLookupError from error
            if is_dead(walked[pid]):
                raise ProcessLookupError
            # The name of a process may hold blanks and brackets.
            pid = int(stat.rpartition(")")[2].split()[1])
        return True

    def _is_stranger(self, pid: int) -> bool:
        pidfd = self._strangers.get(pid)
        if pidfd is not None and is_dead(pidfd):
            os.close(self._strangers.pop(pid))
            return False
        return pidfd is not None

    def _remember(self, pid: int, pidfd: int) -> None:
        if len(self._strangers) >= KEPT:
            os.close(self._strangers.pop(next(iter(self._strangers))))
        self._strangers[pid] = pidfd


def _close(processes: dict[int, int]) -> None:
    for pidfd in processes.values():
        with suppress(OSError):
            os.close(pidfd)


# Bytes: some thousands of mounts. Who may mount in a container could have far more of them, which
# would be read for each request.
MOST_MOUNTINFO = 1 << 20

_CONTAINER_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")

Kind = Literal["unseen", "local", "container"]


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A client process.

    `kind` is "local" for one in the daemon's own pid and mount namespaces, "container" for one in a
    pid namespace below the daemon's, and "unseen" for one that cannot be seen: then `pid` is 0.
    `parent` is the pid of its parent, None where the kernel does not say it at once.

    `named` are the containers that its cgroup names, the outermost first. `container` is the
    outermost that the daemon is not in itself, a candidate until `containers` has proved it.
    """

    pid: int
    uid: int
    kind: Kind
    parent: int | None = None
    container: str | None = None
    named: tuple[str, ...] = ()
    mountinfo: str = ""

    @property
    def mounts(self) -> tuple[MountRow, ...]:
        """The mounts of the process's namespace."""
        return parse_mountinfo(self.mountinfo)


def identify(connection: socket.socket, credentials: Credentials) -> Peer:
    """Say who connected; `credentials` are what `peer_credentials` has said of that (unix(7)).

    Raises Denied (layer "workspace") for a peer that is gone, or that shares the daemon's pid
    namespace but not its mounts (docker run --pid=host).
    """
    pid, uid = credentials.pid, credentials.uid
    if pid == 0:
        return Peer(pid=0, uid=uid, kind="unseen")
    pidfd = _open_pidfd(connection)
    try:
        peer = _look(pid, uid)
        # A pid is reused only after its process is gone: what was read belongs to the peer if the
        # peer is still there now.
        if pidfd is not None:
            peer = replace(peer, parent=_find_parent(pidfd))
    finally:
        if pidfd is not None:
            os.close(pidfd)
    return peer


def _find_parent(pidfd: int) -> int | None:
    """As `read_parent`; raises Denied for a process that is gone."""
    try:
        parent = read_parent(pidfd)
    except ProcessLookupError as error:
        raise _gone() from error
    if parent is None and is_dead(pidfd):
        raise _gone()
    return parent


def _look(pid: int, uid: int) -> Peer:
    named = containers_in(_read_entry(pid, "cgroup"))
    container = outermost_beyond(_containers_around(), named)
    if _has_our_namespaces(pid):
        return Peer(pid=pid, uid=uid, kind="local", container=container, named=named)
    mountinfo = _read_mounts(pid)
    if len(read_pids(_read_entry(pid, "status"))) > 1:
        return Peer(
            pid=pid,
            uid=uid,
            kind="container",
            container=container,
            named=named,
            mountinfo=mountinfo,
        )
    if not same_namespace(mountinfo, read_process_file(os.getpid(), "mountinfo")):
        raise Denied(
            "the client shares the host's processes but not its files (--pid=host)",
            layer="workspace",
            rule="pid-namespace",
            hint="start the container without --pid=host",
        )
    return Peer(pid=pid, uid=uid, kind="local", container=container, named=named)


def _has_our_namespaces(pid: int) -> bool:
    """Whether a process is in the daemon's pid and mount namespaces; False where that is hidden.

    The quick way, which needs the right to trace the process: mostly one of the same user.
    """
    try:
        return read_namespaces(str(pid)) == _own_namespaces()
    except OSError:
        return False


@functools.cache
def _own_namespaces() -> tuple[str, str]:
    """Those of the daemon, which never leaves them."""
    return read_namespaces("self")


def refuse_own(peer: Peer, ancestry: Ancestry) -> None:
    """Refuse a process that descends from the daemon: what a tool started is no client.

    Raises Denied. A process that cannot be seen is in no namespace that a tool could have made.
    """
    if peer.kind != "unseen" and ancestry.includes(peer.pid, parent=peer.parent):
        raise Denied(
            "a command that Airlock started may not ask for another one",
            layer="workspace",
            rule="peer",
            hint="run it in the container, as a command of its own",
        )


def check_claim(peer: Peer, claimed: str | None) -> None:
    """Refuse a claimed container id that the kernel contradicts, where the kernel can tell."""
    if claimed is None or peer.kind == "unseen" or claimed in (peer.container, *peer.named):
        # In nested containers a client may see another one of them than the daemon does.
        return
    if peer.kind == "local" and claimed == _own_container():
        # Both are in one container, which is the daemon's host.
        return
    raise Denied(
        "the request names another container than the one it comes from",
        layer="workspace",
        rule="container-id",
        hint="send the id of the container that the client runs in, or null",
    )


@functools.cache
def _containers_around() -> tuple[str, ...]:
    """The containers that the cgroup of the daemon itself names, which it never leaves."""
    return containers_in(read_process_entry(os.getpid(), "cgroup"))


@functools.cache
def _own_container() -> str | None:
    """The container in which the daemon itself runs, as far as it can be seen from inside.

    Where a cgroup namespace hides it, the files that the engine mounts there still name it.
    """
    files = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
    roots = (
        row.root
        for row in parse_mountinfo(read_process_file(os.getpid(), "mountinfo"))
        if row.point in files
    )
    found = (_containers_around(), *map(containers_in, roots))
    return next((names[0] for names in found if names), None)


def whole(rows: Sequence[MountRow]) -> Sequence[MountRow]:
    """The mounts of a process; raises Denied if it has changed its root, which hides others."""
    if shows_all(rows):
        return rows
    raise Denied(
        "a process has changed its root (chroot), so that the container's mounts cannot be seen",
        layer="workspace",
        rule="root",
        hint="run the container's first process and the command in the root of the container",
    )


def same_namespace(one: str, other: str) -> bool:
    """Whether two mountinfo texts are of one mount namespace.

    A mount belongs to exactly one namespace and its id is unique while it lives, so that a single
    common id proves it. Unlike the links in /proc/<pid>/ns, this needs no right to trace the peer.
    """
    if one == other:
        return bool(one)
    ids = {row.mount_id for row in parse_mountinfo(one)}
    return any(row.mount_id in ids for row in parse_mountinfo(other))


@functools.lru_cache(maxsize=16)
def containers_in(cgroup: str) -> tuple[str, ...]:
    """The container ids in the text of a /proc/<pid>/cgroup, each once, the outermost first."""
    return tuple(dict.fromkeys(_CONTAINER_ID.findall(cgroup)))


def outermost_beyond(own: tuple[str, ...], named: tuple[str, ...]) -> str | None:
    """The first of the containers `named` that is not around the daemon itself as well.

    Those around it, `own`, are its host; an engine in there knows what is below them.
    """
    if not named:
        return None
    return next((container for container in named if container not in own), None)


def _open_pidfd(connection: socket.socket) -> int | None:
    try:
        return peer_pidfd(connection)
    except OSError as error:
        raise _unseen(error) from error


def _read_mounts(pid: int) -> str:
    try:
        return read_process_file(pid, "mountinfo", most=MOST_MOUNTINFO)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise _unseen(error) from error
        raise Denied(
            "the client's mount namespace has more mounts than can be looked through",
            layer="workspace",
            rule="mounts",
            hint="run the client where fewer file systems are mounted",
        ) from error


def _read_entry(pid: int, name: str) -> str:
    try:
        return read_process_entry(pid, name)
    except OSError as error:
        raise _unseen(error) from error


def read_pids(status: str) -> list[str]:
    """The pids of a process, from the daemon's pid namespace down to its own (NSpid of status)."""
    for line in status.splitlines():
        if line.startswith("NSpid:"):
            return line.split()[1:]
    return []


def _unseen(error: OSError) -> Denied:
    """Why a process cannot be looked at: mostly since it is gone."""
    if not is_full_table(error):
        return _gone()
    return Denied(
        NO_DESCRIPTORS,
        layer="limit",
        rule="descriptors",
        hint="close connections that are not in use",
    )


def _gone() -> Denied:
    return Denied(
        "the client process is gone, so that it cannot be told which one asked",
        layer="workspace",
        rule="peer",
        hint="the process that connects must stay until it has its answer",
    )
