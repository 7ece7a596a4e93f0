"""Which paths of the file system the arguments of a tool name."""

import posixpath
from collections.abc import Iterable, Sequence

from airlock_modules.reading.notation import Kind
from airlock_modules.reading.option_table import OptionTable
from airlock_modules.reading.parsed import Flag, PathUse, Piece

LONGEST_PATH = 4096
"""PATH_MAX of limits.h: no system call takes a longer path."""


def find_paths(
    table: OptionTable,
    *,
    flags: Sequence[Flag],
    words: Sequence[Piece],
    command: tuple[str, ...],
    path_words: bool,
) -> tuple[PathUse, ...]:
    """Return the paths among the values of flags and among words, in no order that matters.

    The tool enters the directories of its `CHDIR` flags one after the other, and every other path
    starts in the last of them. A flag of which it is not said whether it enters or opens counts as
    both. Directories that are longer together than `LONGEST_PATH` are not joined any further, so
    that what is returned can be refused for its length.
    """
    with_paths = [flag for flag in flags if flag.takes_path]
    found, base = _enter(flag for flag in with_paths if _has_kind(flag, "CHDIR", "EITHER"))
    for flag in with_paths:
        if _has_kind(flag, "EITHER"):
            found += [_use(value, by=flag.name) for value in flag.values]
        if _has_kind(flag, "PATH"):
            found += [_use(value, by=flag.name, base=base) for value in flag.values]
    if words and (path_words or _has_path_words(table, command)):
        found += [PathUse(word.text, word.argument, 0, "", base) for word in words]
    return tuple(found)


def _use(piece: Piece, *, by: str, base: str = "") -> PathUse:
    """Return the path that the value of a flag is."""
    return PathUse(piece.text, piece.argument, piece.offset, by, base)


def _has_kind(flag: Flag, *kinds: Kind) -> bool:
    return any(spec.kind in kinds for spec in flag.specs)


def _enter(flags: Iterable[Flag]) -> tuple[list[PathUse], str]:
    """Follow the flags that enter directories; return the paths to check, and where they end."""
    found: list[PathUse] = []
    base = ""
    joined: PathUse | None = None
    for flag in flags:
        if len(flag.values) > 1:  # only one of them is meant
            found += [_use(value, by=flag.name) for value in flag.values]
        for value in flag.values:
            if value.text.startswith("/"):
                if joined is not None:
                    found.append(joined)
                base, joined = value.text, None
                found.append(_use(value, by=flag.name))
                continue
            offset = None if base else value.offset
            if len(base) <= LONGEST_PATH:
                base = posixpath.join(base, value.text)
            joined = PathUse(base, value.argument, offset, flag.name)
    if joined is not None:
        found.append(joined)
    return found, base


def _has_path_words(table: OptionTable, command: tuple[str, ...]) -> bool:
    return bool(table.path_commands) and any(
        " ".join(command[:length]) in table.path_commands for length in range(len(command) + 1)
    )
