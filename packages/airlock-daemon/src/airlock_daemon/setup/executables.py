"""Files that a box with credentials may execute, as `[sandbox] programs` of its module lists them.

The kernel executes the loader of a program that has one, and a loader obeys its variables and its
arguments: it works on any file that it is told to load, though that has no code. So a program that
has one is listed only where the module says that it may be, `dynamic`. Of a directory what is
loaded would be too much to tell, and it is kept to programs without one, static ones. What has an
interpreter cannot be kept to anything. What a program runs inside of itself, as a shell does,
nobody can tell by its file.
"""

import os
from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from airlock_daemon.platform.linux.elf import find_kind
from airlock_daemon.platform.linux.loading import find_loaded
from airlock_daemon.setup.paths import expand_home
from airlock_daemon.setup.programs import find_program
from airlock_daemon.setup.shells import is_shell
from airlock_modules import ALL_BELOW, ANY_PROGRAM, IF_THERE, Fault, Module
from airlock_wire import quote

# Of which nobody will wait for an examination.
_MOST_FILES = 4096

_PACKED = b"UPX!"
_HEAD_BYTES = 4096

_KEPT_TO = (
    'name static programs alone, or write [] for the tool alone, or ["*"] for everything; '
    "dynamic = true lists programs with a loader, where no agent chooses how they are started"
)
_LOADED = "is no static program: it needs an interpreter, or a loader and libraries"
_WITHOUT_IT = "name the programs that the tool starts, without this one"


class Listed(msgspec.Struct, frozen=True):
    """An entry: a file of the host, or a directory with all below it, and as a module has it.

    With a file that needs them go its `loaders`, and the `libraries` that these map.
    """

    path: str
    named: str
    is_directory: bool
    loaders: tuple[str, ...] = ()
    libraries: tuple[str, ...] = ()


def find_listed(entry: str, *, path: str, home: str, dynamic: bool) -> Listed | str:
    """What an entry other than `*` names, searched on `path`; or why that cannot be executed.

    A program that has a loader is named only where it may be `dynamic`.
    """
    is_directory = entry.endswith(ALL_BELOW)
    named = entry.removesuffix(ALL_BELOW)
    expanded = expand_home(named, home)
    if is_directory:
        if not os.path.isdir(expanded):
            return f"{quote(named)} is no directory of the host"
        return Listed(expanded, named, is_directory)
    found = find_program(expanded, path)
    if found is None:
        return f"{quote(entry)} is not an executable on the host"
    target = named if os.path.isabs(expanded) else found
    listed = Listed(found, target, is_directory)
    match find_kind(found):
        case "program":
            return listed
        case "loader":
            return f"{quote(entry)} is a loader, and no program"
        case _:
            return _add_loaded(listed, dynamic) or f"{quote(entry)} {_LOADED}"


def _add_loaded(listed: Listed, dynamic: bool) -> Listed | None:
    """The entry with what is loaded with it, None where it may not be, or nobody knows what."""
    loaded = find_loaded(listed.path) if dynamic else None
    if loaded is None or loaded.loader is None:
        return None
    return replace(listed, loaders=(loaded.loader,), libraries=loaded.libraries)


def is_absent(entry: str, path: str, home: str) -> bool:
    """Whether an entry that may be absent is so."""
    named = entry.removesuffix(IF_THERE).removesuffix(ALL_BELOW)
    if named == entry.removesuffix(ALL_BELOW):
        return False
    expanded = expand_home(named, home)
    is_path = os.path.isabs(expanded)
    return not os.path.exists(expanded) if is_path else find_program(named, path) is None


def find_unlistable(module: Module, path: str) -> Iterator[Fault]:
    """Tell why a holding box of `module` is not kept to its list of programs, if it has one.

    Programs are searched on `path`.
    """
    sandbox = module.sandbox
    listed = () if sandbox is None else sandbox.programs
    if sandbox is None or not module.is_holding or not listed or ANY_PROGRAM in listed:
        return
    home = os.environ.get("HOME", "/")
    present = [entry for entry in listed if not is_absent(entry, path, home)]
    tool = find_program(module.bin, path)
    named = () if tool is None or not present else (tool,)
    for entry in (*named, *present):
        wanted = entry.removesuffix(IF_THERE)
        found = find_listed(wanted, path=path, home=home, dynamic=sandbox.dynamic)
        if isinstance(found, str):
            yield _tell(module, found)
        elif found.is_directory:
            yield from _review(module, list(_find_executed(found.path)))
        else:
            yield from _review_programs(module, [found.path])


def _review(module: Module, executed: Sequence[str]) -> Iterator[Fault]:
    """Tell what is wrong with files that the kernel is to execute: the first one of each kind."""
    kinds = {each: find_kind(each) for each in executed}
    useless = next((each for each in executed if kinds[each] == "loaded"), None)
    if useless is not None:
        yield _tell(module, f"{quote(useless)} is no static program, and is not executed")
    loader = next((each for each in executed if kinds[each] == "loader"), None)
    if loader is not None:
        yield _tell(module, f"{quote(loader)} is a loader, and no program", _WITHOUT_IT)
    yield from _review_programs(module, [each for each in executed if kinds[each] == "program"])


def _review_programs(module: Module, executed: Sequence[str]) -> Iterator[Fault]:
    packed = next(filter(_is_packed, executed), None)
    if packed is not None:
        problem = f"{quote(packed)} is packed by UPX, which hides whether it has a loader"
        yield _tell(module, problem, "name one that is not packed: upx -d FILE makes it of a copy")
    shell = next(filter(is_shell, executed), None)
    if shell is not None:
        problem = f"{quote(shell)} is a shell (/etc/shells), which runs what an agent wrote"
        yield _tell(module, problem, _WITHOUT_IT)


def _is_packed(path: str) -> bool:
    """Whether the packer's name stands behind the headers, where UPX writes it."""
    try:
        with open(path, "rb") as file:
            return _PACKED in file.read(_HEAD_BYTES)
    except OSError:
        return False


def _tell(module: Module, problem: str, remedy: str = _KEPT_TO) -> Fault:
    return Fault(module.source, "sandbox.programs", problem, remedy)


def _find_executed(directory: str) -> Iterator[str]:
    """The executables below a directory, as far as one looks."""
    count = 0
    for folder, _, names in os.walk(directory):
        for name in sorted(names):
            path = os.path.join(folder, name)
            count += 1
            if count > _MOST_FILES:
                return
            if os.access(path, os.X_OK):
                yield path
