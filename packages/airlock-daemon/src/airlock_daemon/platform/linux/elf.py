"""ELF files (elf(5)): their headers, and the libraries that the loader maps for a program.

A file that the kernel and a loader could parse differently is rejected: with a table of unusual
shape, with two loaders or dynamic sections, or with strings at an ambiguous offset.
"""

import functools
import glob
import os
import re
import struct
from collections.abc import Iterator, Sequence
from itertools import takewhile

import msgspec

_IDENTITY = struct.Struct("<4sBB10x")
_CLASS_64, _LITTLE_ENDIAN = 2, 1
_HEADER_BYTES = 64
_SEGMENT = struct.Struct("<IIQQQQQQ")
_ENTRY = struct.Struct("<QQ")

# The kernel's bound for the table of segments; the others far exceed any real file's.
_MOST_TABLE = 1 << 16
_MOST_DYNAMIC = 1 << 20
_MOST_NAMES = 1 << 10
_MOST_NAME = 4096
_MOST_OFFSET = (1 << 63) - 1

# e_type, p_type, and d_tag of the dynamic section.
_EXECUTABLE, _SHARED = 2, 3
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_END, _NEEDED, _STRINGS, _RPATH, _RUNPATH = 0, 1, 5, 15, 29


class Headers(msgspec.Struct, frozen=True):
    """A program or library: its loader, if any, its needed libraries, and their search path.

    `searched` are directories, which may contain `$ORIGIN`.
    """

    loader: str | None
    needed: tuple[str, ...] = ()
    searched: tuple[str, ...] = ()


class _Segment(msgspec.Struct, frozen=True):
    kind: int
    offset: int
    address: int
    length: int


def read_headers(path: str) -> Headers | None:
    """Read a file's headers; None if it is no 64-bit ELF program or library."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        return _read(descriptor)
    except (OSError, struct.error):
        return None
    finally:
        os.close(descriptor)


def _read(descriptor: int) -> Headers | None:
    head = _pread(descriptor, _HEADER_BYTES, 0)
    if _IDENTITY.unpack_from(head) != (b"\x7fELF", _CLASS_64, _LITTLE_ENDIAN):
        return None
    (shape,) = struct.unpack_from("<H", head, 16)
    (offset,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    is_usual = (size == _SEGMENT.size or not count) and size * count <= _MOST_TABLE
    if shape not in (_EXECUTABLE, _SHARED) or not is_usual:
        return None
    table = _pread(descriptor, size * count, offset)
    segments = [
        _Segment(kind, start, address, length)
        for kind, _, start, address, _, length, *_ in _SEGMENT.iter_unpack(table)
    ]
    loaders = [each for each in segments if each.kind == _INTERPRETER]
    dynamic = [each for each in segments if each.kind == _DYNAMIC]
    if len(table) != size * count or len(loaders) > 1 or len(dynamic) > 1:
        return None
    loader = _read_name(descriptor, loaders[0].offset, loaders[0].length) if loaders else None
    headers = Headers(loader=loader)
    return _read_dynamic(descriptor, dynamic[0], segments, headers) if dynamic else headers


def _read_dynamic(
    descriptor: int, dynamic: _Segment, segments: Sequence[_Segment], headers: Headers
) -> Headers | None:
    """Add the entries of the dynamic section to the headers, up to its end."""
    content = _pread(descriptor, min(dynamic.length, _MOST_DYNAMIC), dynamic.offset)
    whole = content[: len(content) // _ENTRY.size * _ENTRY.size]
    entries = list(takewhile(lambda entry: entry[0] != _END, _ENTRY.iter_unpack(whole)))
    tags = dict(entries)
    named = [entry for entry in entries if entry[0] in (_NEEDED, _RPATH, _RUNPATH)]
    strings = tags.get(_STRINGS, -1)
    # Convert an address in memory to an offset in the file.
    places = [
        each.offset + strings - each.address
        for each in segments
        if each.kind == _LOAD and each.address <= strings < each.address + each.length
    ]
    if named and (len(places) != 1 or len(named) > _MOST_NAMES):
        return None
    names = [(tag, _read_name(descriptor, places[0] + value)) for tag, value in named]
    return Headers(
        loader=headers.loader,
        needed=tuple(name for tag, name in names if tag == _NEEDED),
        searched=tuple(
            each for tag, name in names if tag != _NEEDED for each in name.split(":") if each
        ),
    )


def _read_name(descriptor: int, offset: int, length: int = _MOST_NAME) -> str:
    content = _pread(descriptor, min(length, _MOST_NAME), offset)
    return os.fsdecode(content.partition(b"\0")[0])


def _pread(descriptor: int, size: int, offset: int) -> bytes:
    """As pread(2), but empty at an offset that no file can have."""
    return os.pread(descriptor, size, offset) if offset <= _MOST_OFFSET else b""


_MOST_FILES = 256

# Defaults of ld.so(8) and of musl's loader, besides the configured ones.
_USUAL = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/lib/*-linux-*")
_CONFIGURATION = "/etc/ld.so.conf"
# Written whenever libraries are installed.
_CACHE = "/etc/ld.so.cache"
_MOST_DEPTH = 4
_ORIGIN = re.compile(r"\$(?:ORIGIN\b|\{ORIGIN\})")


class Loaded(msgspec.Struct, frozen=True):
    """The loader, None for a static program, and the libraries, by their real paths."""

    loader: str | None
    libraries: tuple[str, ...]


def find_loaded(program: str) -> Loaded | None:
    """What is loaded with `program`; None if no kernel or loader can load it.

    If a library is in several directories, each is listed, since the loader's choice depends on the
    processor and on its cache. Libraries that a program loads later with dlopen(3) are unknown.
    """
    return _find_loaded(program, _mark(program), _mark(_CACHE))


def _mark(path: str) -> tuple[int, ...]:
    """Metadata that changes with the file."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@functools.lru_cache(maxsize=256)
def _find_loaded(
    program: str, _mark: tuple[int, ...], _installed: tuple[int, ...]
) -> Loaded | None:
    """As `find_loaded`, cached while the program and the loader's cache are unchanged."""
    first = read_headers(program)
    if first is None:
        return None
    found: dict[str, None] = {}
    waiting, done = [(program, first)], set[str]()
    usual = tuple(dict.fromkeys((*_read_configuration(_CONFIGURATION), *_list_usual())))
    while waiting and len(found) <= _MOST_FILES:
        path, headers = waiting.pop()
        origin = os.path.dirname(os.path.realpath(path))
        own = [_ORIGIN.sub(origin.replace("\\", r"\\"), each) for each in headers.searched]
        for name in headers.needed:
            places = [name] if "/" in name else _find_in((*own, *usual), name)
            if not places:
                return None
            for place in places:
                real = os.path.realpath(place)
                inner = None if real in done else read_headers(real)
                done.add(real)
                if inner is not None:
                    found[real] = None
                    waiting.append((real, inner))
    loader = os.path.realpath(first.loader) if first.loader else None
    if loader is not None:
        found.pop(loader, None)
    return Loaded(loader, tuple(found))


def _list_usual() -> Iterator[str]:
    for place in _USUAL:
        yield from glob.glob(place)


def _read_configuration(path: str, depth: int = 0) -> Iterator[str]:
    """The directories in the loader's configuration, and in its included files."""
    try:
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            lines = [line.partition("#")[0].split() for line in file]
    except OSError:
        return
    for words in lines:
        if words[:1] == ["include"] and depth < _MOST_DEPTH:
            for pattern in words[1:]:
                for included in sorted(glob.glob(os.path.join(os.path.dirname(path), pattern))):
                    yield from _read_configuration(included, depth + 1)
        elif words:
            yield words[0]


def _find_in(directories: Sequence[str], name: str) -> list[str]:
    """The paths of a library in these directories, and in their variants for processors."""
    candidates = list[str]()
    for directory in dict.fromkeys(directories):
        escaped = glob.escape(os.path.join(directory, "glibc-hwcaps"))
        candidates.append(os.path.join(directory, name))
        candidates += glob.glob(os.path.join(escaped, "*", glob.escape(name)))
    return [each for each in candidates if os.path.isfile(each)]
