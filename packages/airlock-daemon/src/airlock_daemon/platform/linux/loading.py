"""What is mapped as code when a dynamic program of ELF (elf(5)) is executed: as its headers say."""

import functools
import glob
import os
import re
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress

import msgspec

_IDENTITY = struct.Struct("<4sBB10x")
_CLASS_64, _LITTLE_ENDIAN = 2, 1
_HEADER_BYTES = 64
_SEGMENT = struct.Struct("<IIQQQQQQ")
_ENTRY = struct.Struct("<qQ")
_MOST_BYTES = 1 << 20
_MOST_FILES = 256
_MOST_NAME = 4096

# p_type, and d_tag of the dynamic section.
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_NEEDED, _STRINGS, _RPATH, _RUNPATH = 1, 5, 15, 29
_NAMED = (_NEEDED, _RPATH, _RUNPATH)

# Of ld.so(8) and of musl's loader, beside what the configuration names.
_USUAL = ("/lib", "/usr/lib", "/lib64", "/usr/lib64", "/usr/local/lib", "/lib/*-linux-*")
_CONFIGURATION = "/etc/ld.so.conf"
# It is written whenever libraries are installed.
_CACHE = "/etc/ld.so.cache"
_MOST_DEPTH = 4
_ORIGIN = re.compile(r"\$(?:ORIGIN\b|\{ORIGIN\})")


class Loaded(msgspec.Struct, frozen=True):
    """The loader, None for a static program, and the libraries, by their real paths."""

    loader: str | None
    libraries: tuple[str, ...]


class _Headers(msgspec.Struct, frozen=True):
    loader: str
    needed: tuple[str, ...]
    searched: tuple[str, ...]


def find_loaded(program: str) -> Loaded | None:
    """What is loaded with `program`; None for a file that no kernel and no loader can.

    Of a library that stands in several places each is named, since which of them a loader prefers
    depends on the processor and on its cache. What a program loads later, by dlopen(3), nobody can
    tell by its file.
    """
    return _find_loaded(program, _mark(program), _mark(_CACHE))


def _mark(path: str) -> tuple[int, ...]:
    """What is another when a file is, as far as one can see from outside."""
    try:
        found = os.stat(path)
    except OSError:
        return ()
    return (found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns, found.st_ctime_ns)


@functools.lru_cache(maxsize=256)
def _find_loaded(
    program: str, _mark: tuple[int, ...], _installed: tuple[int, ...]
) -> Loaded | None:
    """As `find_loaded`, of a program and libraries that are as they were."""
    first = _read(program)
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
                inner = None if real in done else _read(real)
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
    """The directories in the loader's configuration, and in the files that it includes."""
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
    """Where a library is, in these and in those beside it for particular processors."""
    candidates = list[str]()
    for directory in dict.fromkeys(directories):
        escaped = glob.escape(os.path.join(directory, "glibc-hwcaps"))
        candidates.append(os.path.join(directory, name))
        candidates += glob.glob(os.path.join(escaped, "*", glob.escape(name)))
    return [each for each in candidates if os.path.isfile(each)]


def _read(path: str) -> _Headers | None:
    """The headers of a file; None for what is no ELF file of 64 bits."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        return None
    try:
        with suppress(OSError, struct.error):
            return _read_headers(descriptor)
        return None
    finally:
        os.close(descriptor)


def _read_headers(descriptor: int) -> _Headers | None:
    head = os.pread(descriptor, _HEADER_BYTES, 0)
    is_known = len(head) == _HEADER_BYTES
    if not is_known or _IDENTITY.unpack_from(head) != (b"\x7fELF", _CLASS_64, _LITTLE_ENDIAN):
        return None
    (offset,) = struct.unpack_from("<Q", head, 32)
    size, count = struct.unpack_from("<HH", head, 54)
    table = os.pread(descriptor, size * count, offset)
    segments = [_SEGMENT.unpack_from(table, number * size) for number in range(count)]
    loader, entries = "", list[tuple[int, int]]()
    for kind, _, start, _, _, length, *_ in segments:
        if kind not in (_INTERPRETER, _DYNAMIC):
            continue
        content = os.pread(descriptor, min(length, _MOST_BYTES), start)
        if kind == _INTERPRETER:
            loader = os.fsdecode(content.partition(b"\0")[0])
        elif kind == _DYNAMIC:
            whole = content[: len(content) // _ENTRY.size * _ENTRY.size]
            entries = list(_ENTRY.iter_unpack(whole))
    strings = next((value for tag, value in entries if tag == _STRINGS), 0)
    # From an address in memory to a place in the file.
    place = next(
        (
            start + strings - address
            for kind, _, start, address, _, length, *_ in segments
            if kind == _LOAD and address <= strings < address + length
        ),
        0,
    )

    def name(value: int) -> str:
        return os.fsdecode(os.pread(descriptor, _MOST_NAME, place + value).partition(b"\0")[0])

    named = [(tag, name(value)) for tag, value in entries if tag in _NAMED]
    return _Headers(
        loader,
        tuple(text for tag, text in named if tag == _NEEDED),
        tuple(each for tag, text in named if tag != _NEEDED for each in text.split(":") if each),
    )
