"""Identifies the process at the other end of a connection, by what the kernel says alone."""

import errno
import functools
import os
import re
import socket
import sys
import weakref
from typing import Literal

import msgspec
from msgspec.structs import replace

from airlock_daemon.errors import NO_DESCRIPTORS, Denied, is_full_table
from airlock_daemon.platform.system import (
    Ancestry,
    Credentials,
    MountTable,
    peer_credentials,
    peer_pidfd,
    read_namespaces,
    read_parent,
    read_process_entry,
    read_process_file,
)

# Bytes: some thousands of mounts. A client that may mount could have far more, to be read for each
# request.
MAX_MOUNTINFO = 1 << 20

# The kernel's user for one that it cannot name (user_namespaces(7)).
UNSEEN = Credentials(0, 65534)
_bridged: "weakref.WeakSet[socket.socket]" = weakref.WeakSet()

_CONTAINER_ID = re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])")

Kind = Literal["unseen", "local", "container"]


class Peer(msgspec.Struct, frozen=True, kw_only=True):
    """A client process.

    `kind`: "local" is in the daemon's own pid and mount namespaces; "container" is in a pid
    namespace below the daemon's; "unseen" cannot be seen, and `pid` is 0. `parent` is its parent's
    pid, None if the kernel does not report it at once.

    `named` are the containers in its cgroup's path, the outermost first. `container` is the
    outermost that the daemon is not in: a candidate until `containers` has proved it.
    """

    pid: int
    uid: int
    kind: Kind
    parent: int | None = None
    container: str | None = None
    named: tuple[str, ...] = ()
    mountinfo: str = ""

    @property
    def mounts(self) -> MountTable:
        """The mounts of the process's mount namespace."""
        return MountTable.parse(self.mountinfo)


def make_bridged_pair() -> tuple[socket.socket, socket.socket]:
    """Make a connection for a client that came over a bridge: its end, and ours to serve.

    This kernel does not see the client, and names the daemon in its place. Raises OSError.
    """
    theirs, ours = socket.socketpair()
    theirs.setblocking(False)
    ours.setblocking(False)
    _bridged.add(ours)
    return theirs, ours


def find_credentials(connection: socket.socket) -> Credentials:
    """The process that connected (unix(7)), with pid 0 if this kernel does not see it."""
    return UNSEEN if connection in _bridged else peer_credentials(connection)


def identify(connection: socket.socket, credentials: Credentials) -> Peer:
    """Identify the peer; `credentials` come from `find_credentials`.

    Raises Denied (layer "workspace") if the peer has ended, or shares the daemon's pid namespace
    but not its mounts (docker run --pid=host).
    """
    pid, uid = credentials.pid, credentials.uid
    if pid == 0:
        return Peer(pid=0, uid=uid, kind="unseen")
    if sys.platform != "linux":
        # Containers are in a virtual machine, and come through a bridge.
        return Peer(pid=pid, uid=uid, kind="local")
    try:
        pidfd = peer_pidfd(connection)
    except OSError as error:
        raise _unseen(error) from error
    try:
        peer = _inspect(pid, uid)
        # A pid is only reused after its process has ended: if the peer still exists, what was read
        # belongs to it.
        return peer if pidfd is None else replace(peer, parent=read_parent(pidfd))
    except ProcessLookupError as error:
        raise _gone() from error
    finally:
        if pidfd is not None:
            os.close(pidfd)


def _inspect(pid: int, uid: int) -> Peer:
    named = containers_in(_read_entry(pid, "cgroup"))
    container = outermost_beyond(_containers_around(), named)
    peer = Peer(pid=pid, uid=uid, kind="local", container=container, named=named)
    if _has_our_namespaces(pid):
        return peer
    mountinfo = _read_mounts(pid)
    if len(read_pids(_read_entry(pid, "status"))) > 1:
        return replace(peer, kind="container", mountinfo=mountinfo)
    if not same_namespace(mountinfo, read_process_file(os.getpid(), "mountinfo")):
        raise Denied(
            "the client shares the host's processes but not its files (--pid=host)",
            layer="workspace",
            rule="pid-namespace",
            hint="start the container without --pid=host",
        )
    return peer


def _has_our_namespaces(pid: int) -> bool:
    """Whether a process is in the daemon's pid and mount namespaces; False if hidden.

    The fast check; it needs permission to trace the process, usually that of the same user.
    """
    try:
        return read_namespaces(str(pid)) == _own_namespaces()
    except OSError:
        return False


@functools.cache
def _own_namespaces() -> tuple[str, str]:
    """The daemon's namespaces, which it never leaves."""
    return read_namespaces("self")


def refuse_own(peer: Peer, ancestry: Ancestry) -> None:
    """Refuse a descendant of the daemon: a process started by a tool is not a client.

    Raises Denied. A tool could not have created the namespace of a process that cannot be seen.
    """
    if peer.kind == "unseen":
        return
    try:
        is_ours = ancestry.includes(peer.pid, parent=peer.parent)
    except OSError as error:
        raise _unseen(error) from error
    if is_ours:
        raise Denied(
            "a command that Airlock started may not ask for another one",
            layer="workspace",
            rule="peer",
            hint="run it in the container, as a command of its own",
        )


def check_claim(peer: Peer, claimed: str | None) -> None:
    """Refuse a claimed container id if the kernel contradicts it."""
    if claimed is None or peer.kind == "unseen" or claimed in (peer.container, *peer.named):
        # Nested containers: the client may see another one than the daemon does.
        return
    if sys.platform == "linux" and peer.kind == "local" and claimed == _own_container():
        # Both are in the container that hosts the daemon.
        return
    raise Denied(
        "the request names another container than the one it comes from",
        layer="workspace",
        rule="container-id",
        hint="send the id of the container that the client runs in, or null",
    )


@functools.cache
def _containers_around() -> tuple[str, ...]:
    """The containers in the daemon's own cgroup path, which is fixed."""
    return containers_in(read_process_entry(os.getpid(), "cgroup"))


@functools.cache
def _own_container() -> str | None:
    """The daemon's own container, as far as visible from inside.

    If a cgroup namespace hides it, the sources of files that the engine mounts still name it.
    """
    files = ("/etc/hostname", "/etc/hosts", "/etc/resolv.conf")
    roots = (
        row.root
        for row in MountTable.parse(read_process_file(os.getpid(), "mountinfo"))
        if row.point in files
    )
    found = (_containers_around(), *map(containers_in, roots))
    return next((names[0] for names in found if names), None)


def require_unchanged_root(rows: MountTable) -> MountTable:
    """Return the mounts; raises Denied if the process changed its root, which hides some."""
    if rows.is_whole:
        return rows
    raise Denied(
        "a process has changed its root (chroot), so that the container's mounts cannot be seen",
        layer="workspace",
        rule="root",
        hint="run the container's first process and the command in the root of the container",
    )


def same_namespace(one: str, other: str) -> bool:
    """Whether two mountinfo texts are of one mount namespace.

    A mount belongs to exactly one namespace and its id is unique while it exists, so one common id
    proves it. Unlike reading /proc/<pid>/ns, this needs no permission to trace the peer.
    """
    if one == other:
        return bool(one)
    ids = {row.mount_id for row in MountTable.parse(one)}
    return any(row.mount_id in ids for row in MountTable.parse(other))


@functools.lru_cache(maxsize=16)
def containers_in(cgroup: str) -> tuple[str, ...]:
    """The unique container ids in the text of a /proc/<pid>/cgroup, outermost first."""
    return tuple(dict.fromkeys(_CONTAINER_ID.findall(cgroup)))


def outermost_beyond(own: tuple[str, ...], named: tuple[str, ...]) -> str | None:
    """The first container in `named` that the daemon is not in.

    Those in `own` contain the daemon; an engine inside them knows those below.
    """
    if not named:
        return None
    return next((container for container in named if container not in own), None)


def _read_mounts(pid: int) -> str:
    try:
        return read_process_file(pid, "mountinfo", limit=MAX_MOUNTINFO)
    except OSError as error:
        if error.errno != errno.EFBIG:
            raise _unseen(error) from error
        raise too_many_mounts() from error


def too_many_mounts() -> Denied:
    """The refusal of a container with more than MAX_MOUNTINFO of mounts."""
    return Denied(
        "the client's mount namespace has more mounts than can be looked through",
        layer="workspace",
        rule="mounts",
        hint="run the client where fewer file systems are mounted",
    )


def _read_entry(pid: int, name: str) -> str:
    try:
        return read_process_entry(pid, name)
    except OSError as error:
        raise _unseen(error) from error


def read_pids(status: str) -> list[str]:
    """The pids of a process from the NSpid line of status, from the daemon's pid namespace down."""
    # Not splitlines(): the process's name may have other line breaks.
    for line in status.split("\n"):
        if line.startswith("NSpid:"):
            return line.split()[1:]
    return []


def _unseen(error: OSError) -> Denied:
    """Why a process cannot be inspected: usually it has ended."""
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
