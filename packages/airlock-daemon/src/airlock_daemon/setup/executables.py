"""Files that a box with credentials may execute, as `[sandbox] programs` of its module lists them.

The kernel executes the loader of a program that has one, and a loader runs whatever can be mapped:
so that is named with the program. Of a directory that would be too much to tell, and it is kept to
programs without one, static ones. What has an interpreter cannot be kept to anything.
"""

import os
import struct
from collections.abc import Iterator

import msgspec

from airlock_daemon.platform.linux.loading import find_loaded
from airlock_daemon.setup.programs import find_program
from airlock_modules import ALL_BELOW, ANY_PROGRAM, IF_THERE, Fault, Module
from airlock_wire import quote

_IDENTITY = struct.Struct("<4sBB10x")
_NEEDS_LOADER = 3
_CLASS_64, _LITTLE_ENDIAN = 2, 1
# Of which nobody will wait for an examination.
_MOST_FILES = 4096


class Listed(msgspec.Struct, frozen=True):
    """An entry: a file of the host, or a directory with all below it, and as a module has it.

    With a file that needs them go its `loaders`, and the `libraries` that these map.
    """

    path: str
    named: str
    is_directory: bool
    loaders: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


def find_listed(entry: str, *, path: str, home: str) -> Listed | str:
    """What an entry other than `*` names, searched on `path`; or why that cannot be executed."""
    is_directory = entry.endswith(ALL_BELOW)
    named = entry.removesuffix(ALL_BELOW)
    expanded = home + named.removeprefix("~") if named.startswith("~/") else named
    if is_directory:
        if not os.path.isdir(expanded):
            return f"{quote(named)} is no directory of the host"
        return Listed(expanded, named, is_directory)
    found = find_program(expanded, path)
    if found is None:
        return f"{quote(entry)} is not an executable on the host"
    target = named if os.path.isabs(expanded) else found
    if is_static(found):
        return Listed(found, target, is_directory)
    loaded = find_loaded(found)
    if loaded is None or loaded.loader is None:
        return f"{quote(entry)} needs an interpreter, or libraries that are not to be found"
    return Listed(found, target, is_directory, (loaded.loader,), loaded.libraries)


def is_absent(entry: str, path: str, home: str) -> bool:
    """Whether an entry that may be absent is so."""
    named = entry.removesuffix(IF_THERE).removesuffix(ALL_BELOW)
    if named == entry.removesuffix(ALL_BELOW):
        return False
    expanded = home + named.removeprefix("~") if named.startswith("~/") else named
    is_path = os.path.isabs(expanded)
    return not os.path.exists(expanded) if is_path else find_program(named, path) is None


def is_static(path: str) -> bool:
    """Whether a file is a program of 64 bits that the kernel executes by itself.

    A loader is one too.
    """
    try:
        with open(path, "rb") as file:
            return _needs_no_loader(file.read(1 << 16))
    except OSError:
        return False


def find_unlistable(module: Module, path: str) -> Iterator[Fault]:
    """Tell why a holding box of `module` cannot be kept to its list of programs, if it has one.

    Programs are searched on `path`.
    """
    listed = () if module.sandbox is None else module.sandbox.programs
    if not module.is_holding or not listed or ANY_PROGRAM in listed:
        return
    home = os.environ.get("HOME", "/")
    present = [entry for entry in listed if not is_absent(entry, path, home)]
    tool = find_program(module.bin, path)
    problems = list[str]()
    named = () if tool is None or not present else (tool,)
    for entry in (*named, *present):
        found = find_listed(entry.removesuffix(IF_THERE), path=path, home=home)
        if isinstance(found, str):
            problems.append(found)
        elif found.is_directory:
            useless = next(_find_useless(found.path), None)
            if useless is not None:
                problems.append(f"{quote(useless)} is no static program, and is not executed")
    for problem in problems:
        remedy = (
            'name binary programs alone, or write [] for the tool alone, or ["*"] for everything'
        )
        yield Fault(module.source, "sandbox.programs", problem, remedy)


def _find_useless(directory: str) -> Iterator[str]:
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
