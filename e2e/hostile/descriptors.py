"""Descriptors of every kind that a client may pass, wanted or not."""

import ctypes
import os
import pty
import select
import socket
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from e2e.world.errors import NotHereError

Maker = Callable[[ExitStack], int]
"""Makes a descriptor that is closed, with what belongs to it, when the stack is."""

_IO_URING_SETUP = 425
_PARAMS_BYTES = 120


def make_pipe(stack: ExitStack) -> tuple[int, int]:
    """Return both ends of a pipe: to read, to write."""
    reading, writing = os.pipe()
    stack.callback(os.close, reading)
    stack.callback(os.close, writing)
    return reading, writing


def make_terminal(stack: ExitStack) -> tuple[int, int]:
    """Return both ends of a pseudo-terminal: the person's, the tool's."""
    master, slave = pty.openpty()
    stack.callback(os.close, master)
    stack.callback(os.close, slave)
    return master, slave


def open_null(stack: ExitStack) -> int:
    """Return /dev/null, open in both directions."""
    return _keep(stack, os.open(os.devnull, os.O_RDWR))


def open_descriptors(stack: ExitStack, count: int) -> list[int]:
    """Return so many descriptors of /dev/null."""
    first = open_null(stack)
    return [first, *(_keep(stack, os.dup(first)) for _ in range(count - 1))]


def _keep(stack: ExitStack, descriptor: int) -> int:
    stack.callback(os.close, descriptor)
    return descriptor


def _make_folder(stack: ExitStack) -> Path:
    return Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="airlock-")))


def _open_file(stack: ExitStack) -> int:
    return _keep(stack, os.open(_make_folder(stack) / "file", os.O_RDWR | os.O_CREAT))


def _open_unlinked_file(stack: ExitStack) -> int:
    path = _make_folder(stack) / "pipe:[1]"
    descriptor = _keep(stack, os.open(path, os.O_RDWR | os.O_CREAT))
    path.unlink()
    return descriptor


def _open_directory(stack: ExitStack) -> int:
    return _keep(stack, os.open("/", os.O_RDONLY | os.O_DIRECTORY))


def _open_directory_path(stack: ExitStack) -> int:
    return _keep(stack, os.open("/", os.O_PATH))


def _open_named_fifo(stack: ExitStack) -> int:
    path = _make_folder(stack) / "fifo"
    os.mkfifo(path)
    return _keep(stack, os.open(path, os.O_RDWR))


def _open_device(path: str) -> Maker:
    return lambda stack: _keep(stack, os.open(path, os.O_RDWR))


def _make_unix_socket(stack: ExitStack) -> int:
    ends = socket.socketpair()
    for end in ends:
        stack.callback(end.close)
    return ends[0].fileno()


def _make_listening_socket(stack: ExitStack) -> int:
    listening = socket.socket(socket.AF_UNIX)
    stack.callback(listening.close)
    listening.bind("")
    listening.listen()
    return listening.fileno()


def _make_internet_socket(stack: ExitStack) -> int:
    return stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM)).fileno()


def _make_loop_of_sockets(stack: ExitStack) -> int:
    """A socket in whose own queue it lies itself: only the kernel's collector frees such."""
    one, other = socket.socketpair()
    with one, other:
        socket.send_fds(one, [b"x"], [one.fileno(), other.fileno()])
        return _keep(stack, os.dup(other.fileno()))


def _make_epoll(stack: ExitStack) -> int:
    return stack.enter_context(select.epoll()).fileno()


def _make_pidfd(stack: ExitStack) -> int:
    return _keep(stack, os.pidfd_open(os.getpid()))


def _make_eventfd(stack: ExitStack) -> int:
    return _keep(stack, os.eventfd(0))


def _make_memfd(stack: ExitStack) -> int:
    return _keep(stack, os.memfd_create("/dev/null"))


def _make_by_system_call(name: str, *arguments: int) -> Maker:
    def make(stack: ExitStack) -> int:
        descriptor = getattr(ctypes.CDLL(None, use_errno=True), name)(*arguments)
        if descriptor < 0:
            raise OSError(ctypes.get_errno(), name)
        return _keep(stack, descriptor)

    return make


def _make_io_uring(stack: ExitStack) -> int:
    params = ctypes.create_string_buffer(_PARAMS_BYTES)
    library = ctypes.CDLL(None, use_errno=True)
    descriptor = library.syscall(_IO_URING_SETUP, 1, params)
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "io_uring_setup")
    return _keep(stack, descriptor)


def _open_memory(stack: ExitStack) -> int:
    return _keep(stack, os.open("/proc/self/mem", os.O_RDWR))


def _open_process(stack: ExitStack) -> int:
    return _keep(stack, os.open("/proc/self", os.O_RDONLY | os.O_DIRECTORY))


def _open_namespace(stack: ExitStack) -> int:
    return _keep(stack, os.open("/proc/self/ns/mnt", os.O_RDONLY))


UNWANTED: dict[str, Maker] = {
    "regular file": _open_file,
    "file that was removed": _open_unlinked_file,
    "directory": _open_directory,
    "directory by O_PATH": _open_directory_path,
    "named FIFO": _open_named_fifo,
    "/dev/zero": _open_device("/dev/zero"),
    "/dev/full": _open_device("/dev/full"),
    "unix socket": _make_unix_socket,
    "listening socket": _make_listening_socket,
    "internet socket": _make_internet_socket,
    "socket that holds itself": _make_loop_of_sockets,
    "epoll": _make_epoll,
    "pidfd": _make_pidfd,
    "eventfd": _make_eventfd,
    "memfd of a misleading name": _make_memfd,
    "timerfd": _make_by_system_call("timerfd_create", 1, 0),
    "inotify": _make_by_system_call("inotify_init1", 0),
    "fanotify": _make_by_system_call("fanotify_init", 0, 0),
    "io_uring": _make_io_uring,
    "memory of a process": _open_memory,
    "a process": _open_process,
    "namespace": _open_namespace,
}
"""What a daemon must refuse. A maker raises OSError where this machine has no such thing."""


@contextmanager
def open_unwanted(name: str) -> Iterator[int]:
    """Make one of UNWANTED for the length of the block; raises NotHereError."""
    with ExitStack() as stack:
        try:
            descriptor = UNWANTED[name](stack)
        except OSError as error:
            raise NotHereError(f"{name}: {error.strerror}") from error
        yield descriptor
