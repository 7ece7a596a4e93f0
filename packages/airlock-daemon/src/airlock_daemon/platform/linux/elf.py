"""What the kernel needs to execute a file of ELF (elf(5)), as its headers say."""

import os
import struct
from collections.abc import Iterator
from typing import Literal

Kind = Literal["program", "loaded", "loader"]
"""What the kernel executes by itself; what it has loaded by another; and what loads others."""

_IDENTITY = struct.Struct("<4sBB10x")
_CLASS_64, _LITTLE_ENDIAN = 2, 1
_HEADER_BYTES = 64

# e_type and p_type
_SHARED = 3
_DYNAMIC, _INTERPRETER = 2, 3
# Of the dynamic section (ld(1)): a program that can be at any address says that it is one.
_FLAGS_1, _IS_PROGRAM = 0x6FFFFFFB, 0x08000000
_ENTRY = struct.Struct("<QQ")
_MOST_DYNAMIC = 1 << 16


def find_kind(path: str) -> Kind:
    """Tell what a file is, "loaded" also for a script, and for what is no ELF file of 64 bits.

    A shared object that names no loader and does not say that it is a program counts as a loader,
    as those of C libraries are.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return "loaded"
    try:
        return _read_kind(descriptor)
    except (OSError, struct.error):
        return "loaded"
    finally:
        os.close(descriptor)


def _read_kind(descriptor: int) -> Kind:
    head = os.pread(descriptor, _HEADER_BYTES, 0)
    is_known = len(head) == _HEADER_BYTES
    if not is_known or _IDENTITY.unpack_from(head) != (b"\x7fELF", _CLASS_64, _LITTLE_ENDIAN):
        return "loaded"
    segments = {kind: place for kind, *place in _read_segments(descriptor, head)}
    if _INTERPRETER in segments:
        return "loaded"
    (shape,) = struct.unpack_from("<H", head, 16)
    if shape != _SHARED:
        return "program"
    flags = 0
    if _DYNAMIC in segments:
        offset, length = segments[_DYNAMIC]
        section = os.pread(descriptor, min(length, _MOST_DYNAMIC), offset)
        whole = section[: len(section) // _ENTRY.size * _ENTRY.size]
        flags = dict(_ENTRY.iter_unpack(whole)).get(_FLAGS_1, 0)
    return "program" if flags & _IS_PROGRAM else "loader"


def _read_segments(descriptor: int, head: bytes) -> Iterator[tuple[int, int, int]]:
    """The type, offset and length in the file of each program header."""
    (offset,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    table = os.pread(descriptor, size * count, offset)
    for number in range(count):
        kind, _, start, _, _, length = struct.unpack_from("<IIQQQQ", table, number * size)
        yield kind, start, length
