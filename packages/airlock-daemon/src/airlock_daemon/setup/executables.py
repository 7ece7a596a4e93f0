"""Files that a box with credentials may execute, as `[sandbox] programs` of its module lists them.

The kernel executes the loader of a program that has one, and a loader runs whatever can be read. So
only programs without one, static ones, can be told from others by their files. What such a program
runs inside of itself, as a shell does, nobody can tell by its file.
"""

import os
from collections.abc import Iterator, Sequence

import msgspec

from airlock_daemon.platform.linux.elf import find_kind
from airlock_daemon.setup.paths import expand_home
from airlock_daemon.setup.programs import find_program
from airlock_daemon.setup.shells import is_shell
from airlock_modules import ALL_BELOW, ANY_PROGRAM, IF_THERE, Fault, Module
from airlock_wire import quote

# Of which nobody will wait for an examination.
_MOST_FILES = 4096

_KEPT_TO = 'name static programs alone, or write [] for the tool alone, or ["*"] for everything'
_WITHOUT_IT = "name the programs that the tool starts, without this one"


class Listed(msgspec.Struct, frozen=True):
    """An entry: a file of the host, or a directory with all below it, and as a module has it."""

    path: str
    named: str
    is_directory: bool


def find_listed(entry: str, *, path: str, home: str) -> Listed | str:
    """What an entry other than `*` names, searched on `path`; or why that cannot be executed."""
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
    problem = explain_unkept(found)
    if problem is not None:
        return f"{quote(entry)} {problem}"
    target = named if os.path.isabs(expanded) else found
    return Listed(found, target, is_directory)


def is_absent(entry: str, path: str, home: str) -> bool:
    """Whether an entry that may be absent is so."""
    named = entry.removesuffix(IF_THERE).removesuffix(ALL_BELOW)
    if named == entry.removesuffix(ALL_BELOW):
        return False
    expanded = expand_home(named, home)
    is_path = os.path.isabs(expanded)
    return not os.path.exists(expanded) if is_path else find_program(named, path) is None


def explain_unkept(path: str) -> str | None:
    """Why a box in which a file may be executed is kept to no list, None where it can be."""
    match find_kind(path):
        case "program":
            return None
        case "loader":
            return "is a loader, which would run anything"
        case _:
            return "needs a loader or an interpreter, which would run anything"


def find_unlistable(module: Module, path: str) -> Iterator[Fault]:
    """Tell why a holding box of `module` is not kept to its list of programs, if it has one.

    Programs are searched on `path`.
    """
    listed = () if module.sandbox is None else module.sandbox.programs
    if not module.is_holding or not listed or ANY_PROGRAM in listed:
        return
    home = os.environ.get("HOME", "/")
    present = [entry for entry in listed if not is_absent(entry, path, home)]
    tool = find_program(module.bin, path)
    if present and tool is not None:
        unkept = explain_unkept(tool)
        if unkept is not None:
            yield _tell(module, f"{quote(tool)}, the tool itself, {unkept}")
    for entry in present:
        found = find_listed(entry.removesuffix(IF_THERE), path=path, home=home)
        if isinstance(found, str):
            yield _tell(module, found)
            continue
        executed = list(_find_executed(found.path)) if found.is_directory else [found.path]
        yield from _review(module, executed)


def _review(module: Module, executed: Sequence[str]) -> Iterator[Fault]:
    """Tell what is wrong with files that the kernel is to execute: the first one of each kind."""
    kinds = {each: find_kind(each) for each in executed}
    useless = next((each for each in executed if kinds[each] == "loaded"), None)
    if useless is not None:
        yield _tell(module, f"{quote(useless)} is no static program, and is not executed")
    loader = next((each for each in executed if kinds[each] == "loader"), None)
    if loader is not None:
        yield _tell(module, f"{quote(loader)} is a loader, which runs anything", _WITHOUT_IT)
    shell = next((each for each in executed if kinds[each] == "program" and is_shell(each)), None)
    if shell is not None:
        problem = f"{quote(shell)} is a shell (/etc/shells), which runs what an agent wrote"
        yield _tell(module, problem, _WITHOUT_IT)


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
