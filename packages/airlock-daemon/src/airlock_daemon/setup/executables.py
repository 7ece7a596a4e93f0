"""Files that a box with credentials may execute, as `[sandbox] programs` of its module lists them.

The kernel executes the loader of a program that has one, and a loader runs whatever can be read. So
only programs without one, static ones, can be told from others by their files.
"""

import os
import struct
from collections.abc import Iterator

import msgspec

from airlock_daemon.setup.programs import find_program
from airlock_modules import ALL_BELOW
from airlock_wire import quote

_IDENTITY = struct.Struct("<4sBB10x")
_NEEDS_LOADER = 3
_CLASS_64, _LITTLE_ENDIAN = 2, 1
# Of which nobody will wait for an examination.
_MOST_FILES = 4096


class Listed(msgspec.Struct, frozen=True):
    """An entry: a file of the host, or a directory with all below it, and the path of a module."""

    path: str
    named: str
    is_directory: bool


def find_listed(entry: str, *, path: str, home: str) -> Listed | str:
    """What an entry other than `*` names, searched on `path`; or why that cannot be executed."""
    is_directory = entry.endswith(ALL_BELOW)
    named = entry.removesuffix(ALL_BELOW)
    expanded = home + named.removeprefix("~") if named.startswith("~/") else named
    if is_directory:
        if not os.path.isdir(expanded):
            return f"{quote(named)} is no directory of the host"
        return Listed(os.path.realpath(expanded), named, is_directory)
    found = find_program(expanded, path)
    if found is None:
        return f"{quote(entry)} is not an executable on the host"
    if not is_static(found):
        return f"{quote(entry)} needs a loader or an interpreter, which would run anything"
    target = named if os.path.isabs(expanded) else found
    return Listed(os.path.realpath(found), target, is_directory)


def is_static(path: str) -> bool:
    """Whether a file is a program of this kind of machine that the kernel executes by itself.

    A loader is one too.
    """
    try:
        with open(path, "rb") as file:
            return _needs_no_loader(file.read(1 << 16))
    except OSError:
        return False


def find_useless(directory: str) -> Iterator[str]:
    """The executables below a directory that are not static, as far as one looks."""
    count = 0
    for folder, _, names in os.walk(directory):
        for name in sorted(names):
            path = os.path.join(folder, name)
            count += 1
            if count > _MOST_FILES:
                return
            if os.access(path, os.X_OK) and not is_static(path):
                yield path


def _needs_no_loader(head: bytes) -> bool:
    """Whether an ELF file of 64 bits (elf(5)) has no PT_INTERP among its program headers."""
    if len(head) < 64 or _IDENTITY.unpack_from(head) != (b"\x7fELF", _CLASS_64, _LITTLE_ENDIAN):
        return False
    (offset,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    kinds = [
        struct.unpack_from("<I", head, offset + number * size)[0]
        for number in range(count)
        if offset + number * size + 4 <= len(head)
    ]
    return len(kinds) == count and _NEEDS_LOADER not in kinds
