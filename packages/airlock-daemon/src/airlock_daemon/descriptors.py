"""File descriptors that a client passes along (unix(7), SCM_RIGHTS), and which of them are taken.

They are looked at by their links in /proc and by nothing else: to ask a descriptor itself (fstat)
can mean to ask a file system that the client runs, which may never answer.
"""

import array
import os
import re
import socket
from collections.abc import Sequence
from contextlib import suppress
from typing import Literal

from airlock_daemon.errors import AirlockError
from airlock_daemon.mountinfo import parse_mountinfo
from airlock_daemon.peer import Peer
from airlock_daemon.procfs import read_process_file

Kind = Literal["pipe", "null", "terminal"]

COUNT = 3

# Not CMSG_SPACE, whose padding has room for a fourth (cmsg(3)).
_ANCILLARY = socket.CMSG_LEN(COUNT * array.array("i").itemsize)

# A path begins with a slash, so that no file can have such a name.
_PIPE = "pipe:["

_TERMINAL = re.compile(r"/dev/(pts/[0-9]+|console|tty[0-9]*|ttyS[0-9]+)|/[0-9]+")


class BadDescriptors(AirlockError):
    """A client passed descriptors that are not taken."""


def receive(connection: socket.socket, size: int) -> tuple[bytes, list[int]]:
    """Read at most `size` bytes and the descriptors that ride on them, which the caller closes.

    Raises BadDescriptors, with none left open, for more than three.
    """
    data, ancillary, flags, _ = connection.recvmsg(size, _ANCILLARY, socket.MSG_CMSG_CLOEXEC)
    descriptors = array.array("i")
    for level, kind, payload in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            whole = len(payload) - len(payload) % descriptors.itemsize
            descriptors.frombytes(payload[:whole])
    if flags & socket.MSG_CTRUNC:
        close_all(descriptors)
        raise BadDescriptors("more than three descriptors came with the request")
    return data, descriptors.tolist()


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
    if name.startswith(_PIPE):
        return "pipe"
    if name == os.devnull:
        return "null"
    if _TERMINAL.fullmatch(name):
        return "terminal"
    raise BadDescriptors(
        "a descriptor that came with the request is no pipe, no terminal and not /dev/null",
        hint="relay files and sockets through a pipe",
    )


def are_terminals(descriptors: Sequence[int], kinds: Sequence[Kind], peer: Peer) -> bool:
    """Whether each that is called a terminal really is one.

    That is so if it was opened on a mount of type devpts in the peer's own mount namespace, as the
    kernel tells (proc_pid_fdinfo(5), proc_pid_mountinfo(5)).
    """
    claimed = [one for one, kind in zip(descriptors, kinds, strict=True) if kind == "terminal"]
    if not claimed:
        return True
    mountinfo = peer.mountinfo if peer.place == "container" else ""
    if peer.place == "host":
        mountinfo = read_process_file(os.getpid(), "mountinfo")
    terminals = {row.mount_id for row in parse_mountinfo(mountinfo) if row.kind == "devpts"}
    return all(_mount_id(descriptor) in terminals for descriptor in set(claimed))


def _mount_id(descriptor: int) -> int | None:
    for line in read_process_file(os.getpid(), f"fdinfo/{descriptor}").splitlines():
        if line.startswith("mnt_id:"):
            return int(line.split()[1])
    return None


def close_all(descriptors: Sequence[int]) -> None:
    """Close each of them."""
    for descriptor in descriptors:
        with suppress(OSError):
            os.close(descriptor)
