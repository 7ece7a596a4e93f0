"""File descriptors that a client passes along (unix(7), SCM_RIGHTS), and which of them are taken.

They are looked at by their links in /proc and by nothing else: to ask a descriptor itself (fstat)
can mean to ask a file system that the client runs, which may never answer.
"""

import array
import functools
import os
import re
import socket
from collections.abc import Mapping, Sequence
from typing import Literal

from airlock_daemon.connection.closing import is_pipe
from airlock_daemon.errors import AirlockError
from airlock_daemon.identity.peer import Peer
from airlock_daemon.platform.linux.mountinfo import parse_mountinfo
from airlock_daemon.platform.linux.procfs import read_process_file

Kind = Literal["pipe", "null", "terminal"]

COUNT = 3

# Not CMSG_SPACE, whose padding has room for a fourth (cmsg(3)).
_ANCILLARY = socket.CMSG_LEN(COUNT * array.array("i").itemsize)

# A terminal whose other side is gone is called deleted, and still one.
_TERMINAL = re.compile(r"(/dev/(pts/[0-9]+|console|tty[0-9]*|ttyS[0-9]+)|/[0-9]+)( \(deleted\))?")

# File systems of the kernel's own, whose files nobody else answers for.
_KERNEL_ONLY = frozenset(("devpts", "devtmpfs", "tmpfs"))


class BadDescriptors(AirlockError):
    """A client passed descriptors that are not taken."""


def receive(connection: socket.socket, size: int) -> tuple[bytes, list[int], bool]:
    """Read at most `size` bytes and the descriptors that ride on them, which the caller closes.

    At most three come; the last value says that there were more.
    """
    data, ancillary, flags, _ = connection.recvmsg(size, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = len(payload) - len(payload) % descriptors.itemsize
            descriptors.frombytes(payload[:whole])
    return data, descriptors.tolist(), bool(flags & socket.MSG_CTRUNC)


def receive_plain(connection: socket.socket, size: int) -> bytes:
    """Read at most `size` bytes where no descriptor may come; raises BadDescriptors for one."""
    data, _, flags, _ = connection.recvmsg(size)
    if flags & socket.MSG_CTRUNC:
        # Without room for them the kernel has closed them.
        raise BadDescriptors("descriptors came later than with the first byte of the request")
    return data


def name_kinds(descriptors: Sequence[int]) -> tuple[Kind, ...]:
    """Say what each descriptor is, by its name.

    Raises BadDescriptors for a wrong count and for a kind that is not taken. A name that is a path
    is the client's to choose: /dev/null and a terminal are no more than claims.
    """
    if len(descriptors) != COUNT:
        raise BadDescriptors(f"{len(descriptors)} descriptors came with the request, not three")
    return tuple(_name_kind(descriptor) for descriptor in descriptors)


def _name_kind(descriptor: int) -> Kind:
    name = os.readlink(f"/proc/self/fd/{descriptor}")
    if is_pipe(name):
        return "pipe"
    if name == os.devnull:
        return "null"
    if _TERMINAL.fullmatch(name):
        return "terminal"
    raise BadDescriptors(
        "a descriptor that came with the request is no pipe, no terminal and not /dev/null",
        hint="relay files and sockets through a pipe",
    )


def verify(descriptors: Sequence[int], kinds: Sequence[Kind], peer: Peer) -> tuple[bool, bool]:
    """Whether they are what they are called, and whether closing them cannot wait for the client.

    The kernel tells on which mount a file was opened, and of which type that mount is in the peer's
    own mount namespace (proc_pid_fdinfo(5), proc_pid_mountinfo(5)). A terminal is one on devpts.
    What the daemon's own host calls /dev/null or a terminal is one.
    """
    named = [(one, kind) for one, kind in zip(descriptors, kinds, strict=True) if kind != "pipe"]
    if not named or (peer.place == "host" and all(kind == "null" for _, kind in named)):
        return True, True
    types = _mount_types(peer)
    found = {(kind, types.get(_mount_id(one), "")) for one, kind in named}
    return (
        all(kind != "terminal" or mount == "devpts" for kind, mount in found),
        peer.place == "host" or all(mount in _KERNEL_ONLY for _, mount in found),
    )


def _mount_types(peer: Peer) -> Mapping[int | None, str]:
    if peer.place == "container":
        return _read_types(peer.mountinfo)
    if peer.place == "host":
        return _read_types(read_process_file(os.getpid(), "mountinfo"))
    return {}


@functools.lru_cache(maxsize=64)
def _read_types(mountinfo: str) -> Mapping[int | None, str]:
    return {row.mount_id: row.kind for row in parse_mountinfo(mountinfo)}


def _mount_id(descriptor: int) -> int | None:
    for line in read_process_file(os.getpid(), f"fdinfo/{descriptor}").splitlines():
        if line.startswith("mnt_id:"):
            return int(line.split()[1])
    return None
