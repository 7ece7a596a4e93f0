"""What an attack in Python has at hand: it stands before its lines, in one program."""

import ctypes
import errno
import os
import platform
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
INTEL = platform.machine() == "x86_64"
# In two pieces, since a message may quote the program.
MARK = "GO" + "T:"


def got(what: object) -> None:
    """Say that there is something that there may not be."""
    print(MARK, what, flush=True)


def show(*paths: str) -> None:
    """Print what is in files, or why not."""
    for path in paths:
        try:
            with open(path, "rb") as file:
                sys.stdout.buffer.write(file.read(1 << 20) + b"\n")
        except OSError as error:
            print(path, error)
    sys.stdout.flush()


def attempt(what: str, action: Callable[[], object]) -> None:
    """Do something that must fail."""
    try:
        result = action()
    except (OSError, ValueError) as error:
        print(what, error)
    else:
        got(f"{what} {result}")


def call(number: tuple[int, int], *arguments: object) -> int:
    """A system call by its numbers on x86-64 and aarch64; its result, or minus the errno."""
    words = [ctypes.c_long(each) if isinstance(each, int) else each for each in arguments]
    result: int = libc.syscall(ctypes.c_long(number[0 if INTEL else 1]), *words)
    return -ctypes.get_errno() if result == -1 else result


def denied(what: str, result: int, *also: str) -> None:
    """Look at what a system call came to: the filter says EPERM, ENOSYS or what is in `also`."""
    name = errno.errorcode.get(-result, "") if result < 0 else str(result)
    if result >= 0 or name not in ("EPERM", "ENOSYS", *also):
        got(f"{what}: {name}")
    else:
        print(what, name)


def walk(top: str, *without: str) -> Iterator[str]:
    """All paths below, links not followed."""
    for above, folders, files in os.walk(top):
        yield from (os.path.join(above, each) for each in (*folders, *files))
        folders[:] = [each for each in folders if os.path.join(above, each) not in without]


def talk(kind: tuple[int, int], address: Any, says: bytes = b"hello\n") -> None:
    """Connect, say something, and print what comes back."""
    with suppress(BrokenPipeError), socket.socket(*kind) as made:
        made.settimeout(5)
        made.connect(address)
        print("connected to", address)
        made.sendall(says)
        print(made.recv(65536))
