"""Where a box has what its tool alone is to find: at paths that nobody can guess.

A tool that follows links, or takes paths from what an agent wrote, would else be led to what it
holds. In such a box no directory that leads there can be listed, and /proc, where a process finds
its own variables and files, is empty unless the box may execute everything. The home is hidden too,
since tools keep there what they were given.
"""

import os
import re
from collections.abc import Mapping, Sequence
from secrets import token_hex

from msgspec.structs import replace

from airlock_daemon.sandbox.box import (
    HOME,
    Box,
    Cover,
    Folder,
    Link,
    Memory,
    Operation,
    Placed,
    Secret,
    System,
)
from airlock_daemon.setup.paths import expand_home
from airlock_daemon.setup.reserved import is_within
from airlock_modules import ANY_PROGRAM, Credentials, Module, find_variable

HIDDEN = "/run/credentials"
"""Below it is what is hidden, by the name of its variable until it is known where."""

_BYTES = 16
_PATTERN = re.compile(r"\$\{\w+\}")
# It can be entered and not be listed.
_CLOSED = 0o311
_PRIVATE = 0o700


def locate(name: str) -> str:
    """Where a box has the file that a module calls `name`, before it is hidden."""
    variable = find_variable(name)
    if variable:
        return os.path.join(HIDDEN, variable + name.removeprefix(f"${{{variable}}}"))
    return expand_home(name, HOME)


def hides(credentials: Credentials | None) -> bool:
    """Whether any of it is to be where nobody can guess."""
    return credentials is not None and any(map(find_variable, credentials.files))


def cover_processes(box: Box, module: Module) -> Box:
    """The box of `module`, without a /proc where that would show what is hidden."""
    programs = () if module.sandbox is None else module.sandbox.programs
    if not hides(module.credentials) or ANY_PROGRAM in programs:
        return box
    return replace(box, inner=(*box.inner, Placed(Cover(), "/proc")))


def hide(box: Box) -> tuple[Box, Mapping[str, str]]:
    """The box with its home and all that is in `HIDDEN` at new paths, and variables that say them.

    They are different: a tool may well tell where its home is. Programs that are listed are no
    secret and keep their paths, to which links lead from the new home: Terraform notes in the
    workspace where a provider is, for its next command in the next box.
    """
    listed = () if box.bound is None else box.bound.programs
    place, home = f"{HIDDEN}/{token_hex(_BYTES)}", f"{HOME}/{token_hex(_BYTES)}"
    variables = {"HOME": home}
    operations = list[Operation]()
    for each in box.operations:
        match each:
            case Memory(target=target, size=size) if target == HOME:
                operations += (Memory(HOME, _CLOSED, size), Folder(home, _PRIVATE))
                operations += (Folder(HIDDEN, _CLOSED), Folder(place, _CLOSED))
            case System(target=target) if is_within(target, HOME) and target in listed:
                operations += (each, Link(target, _move(target, home)))
            case Secret(target=target) | System(target=target) if is_within(target, HOME):
                operations.append(replace(each, target=_move(target, home)))
            case Secret(target=target) | System(target=target) if is_within(target, HIDDEN):
                below = target.removeprefix(f"{HIDDEN}/")
                variable = below.partition("/")[0]
                if variable != below and variable not in variables:
                    operations.append(Folder(f"{place}/{variable}", _PRIVATE))
                variables[variable] = f"{place}/{variable}"
                operations.append(replace(each, target=f"{place}/{below}"))
            case _:
                operations.append(each)
    return replace(box, operations=tuple(operations)), variables


def spell_hidden(
    words: Sequence[str], hidden: Mapping[str, str]
) -> tuple[tuple[str, ...], Mapping[str, str]]:
    """`words` with what is `hidden` in the place of `${NAME}`, and the variables for the others.

    A tool that is told by a word needs no variable, which it could show.
    """
    spelled = {f"${{{name}}}": path for name, path in hidden.items()}
    found = [_PATTERN.sub(lambda each: spelled.get(each[0], each[0]), word) for word in words]
    told = {name for name in hidden if any(f"${{{name}}}" in word for word in words)}
    return tuple(found), {name: path for name, path in hidden.items() if name not in told}


def drop_hidden(module: Module) -> tuple[str, ...]:
    """What a module puts before the client's arguments where its command has no such box."""
    files = () if module.credentials is None else module.credentials.files
    names = {f"${{{find_variable(name)}}}" for name in files} - {"${}"}
    return tuple(word for word in module.prepend if not names.intersection(_PATTERN.findall(word)))


def _move(path: str, home: str) -> str:
    return home + path.removeprefix(HOME) if is_within(path, HOME) else path
