"""What is mapped as code when a dynamic program is executed: as the headers of its files say."""

import functools
import glob
import os
import re
from collections.abc import Iterator, Sequence

import msgspec

from airlock_daemon.platform.linux.elf import read_headers

_MOST_FILES = 256

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
