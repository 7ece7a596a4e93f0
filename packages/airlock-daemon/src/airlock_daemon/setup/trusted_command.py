"""Finds who else could write a program that the daemon runs for a credential, or a file of it.

The authorities of TLS, to whose servers it sends them, are among these.
"""

import os
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

from airlock_daemon.setup.trust import (
    AUTHORITIES,
    find_file_problem,
    find_untrusted,
    leads_through,
    list_folder,
)
from airlock_modules import Fault
from airlock_wire import quote

# As many nested interpreters as the kernel follows, and the bytes that it reads of a first line.
_INTERPRETERS = 5
_FIRST_LINE = 256

# Ends where a shell's word or an entry of a path list ends; may begin with a shell's expansion.
_PATHS = re.compile(r"(?:~[\w.-]*|\$\{?\w+\}?)?/[^\s:;,='\"<>|&()]*")
_VARIABLE = re.compile(r"\$\{?\w+\}?")


def find_program_problem(program: str, workspaces: Sequence[str]) -> tuple[str, str] | None:
    """As `find_file_problem`, for a program that the daemon runs, and its `#!` interpreters."""
    pending = [program]
    for _ in range(_INTERPRETERS):
        for path in pending:
            problem = find_file_problem(path, workspaces)
            if problem is not None:
                return problem
        pending = [each for path in pending for each in _list_interpreters(path)]
    return None


def find_command_problem(
    program: str, arguments: Iterable[str], workspaces: Sequence[str]
) -> tuple[str, str] | None:
    """As `find_program_problem`, for a program with arguments (or variables), which may name files.

    A shell or an interpreter runs the file that its argument names, or searches a directory. Paths
    are absolute or begin with `~/` or `$HOME/`, anywhere in an argument. They may be missing:
    whoever can write the directory can create them.
    """
    problem = find_program_problem(program, workspaces)
    return find_words_problem(arguments, workspaces) if problem is None else problem


def find_words_problem(words: Iterable[str], workspaces: Sequence[str]) -> tuple[str, str] | None:
    """As `find_command_problem`, for arguments or variables alone."""
    for path in dict.fromkeys(path for each in words for path in _list_paths(each)):
        if os.path.isfile(path) or leads_through(path, workspaces):
            problem = find_file_problem(path, workspaces)
        else:
            problem = _find_directory_problem(path)
        if problem is not None:
            return problem
    return None


def find_loose_authorities(
    variables: Mapping[str, str], workspaces: Sequence[str]
) -> Iterator[Fault]:
    """Find what `variables` name of authorities that somebody else could write.

    Who can, vouches for any server to the daemon, which sends it credentials.
    """
    for name in AUTHORITIES:
        value = variables.get(name, "")
        for text in [value] if name in AUTHORITIES[:2] else value.split(os.pathsep):
            files = list_folder(os.path.abspath(os.path.expanduser(text))) if text else ()
            problems = (_find_authority_problem(each, workspaces) for each in files)
            if (problem := next(filter(None, problems), None)) is not None:
                yield Fault(name, "", *problem)


def _find_authority_problem(path: str, workspaces: Sequence[str]) -> tuple[str, str] | None:
    problem = find_file_problem(path, workspaces)
    is_missing = problem is None and not os.path.exists(path)
    return _find_directory_problem(path) if is_missing else problem


def _find_directory_problem(path: str) -> tuple[str, str] | None:
    """As `find_file_problem`, for a directory or a missing file, which others may create."""
    directory = os.path.realpath(path)
    if os.path.exists(directory) and not os.path.isdir(directory):
        # A device or a socket.
        return None
    while not os.path.exists(directory):
        directory = os.path.dirname(directory)
    for fault in find_untrusted([path, directory]):
        problem = f"{quote(path)} is where others can put files: {quote(fault.source)}"
        return f"{problem} {fault.problem}", "name a place where you alone can write"
    return None


def _list_interpreters(program: str) -> list[str]:
    """The absolute paths in a program's `#!` line, which may use `env`."""
    try:
        with open(program, "rb") as file:
            line, *_ = file.read(_FIRST_LINE).split(b"\n", 1)
    except OSError:
        return []
    if not line.startswith(b"#!"):
        return []
    return [os.fsdecode(word) for word in line[2:].split() if word.startswith(b"/")]


def _list_paths(argument: str) -> Iterator[str]:
    """The paths in an argument: as a whole, or as a shell's word, they may contain spaces."""
    words = [argument, argument.partition("=")[2]]
    with suppress(ValueError):
        words += shlex.split(argument)
    words += _PATHS.findall(argument)
    for word in map(os.path.expandvars, words):
        # A shell has nothing in the place of a variable that is not set.
        found = (os.path.expanduser(each) for each in (word, _VARIABLE.sub("", word)))
        yield from (path for path in found if path.startswith("/"))
