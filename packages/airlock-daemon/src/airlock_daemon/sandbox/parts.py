"""Directories of the host of which a box has parts: bubblewrap mounts them whole, and the launcher
takes out what the tool is to have.

For each mount that it makes bubblewrap reads the list of all mounts, so that each takes longer the
more the host has; the launcher reads none (`native/parts.zig`). The tool sees nothing of the whole.
"""

from collections.abc import Iterator, Sequence

from airlock_daemon.sandbox.box import Box, Closed, Devices, Processes, System
from airlock_daemon.setup.reserved import is_within

# `native/parts.zig` has it too.
_WHOLE = "/dev/.host"
_ETC = "/etc"
# Directories and links take none of it.
_BYTES = "4096"


def find_parts(box: Box) -> tuple[System, ...]:
    """What the launcher makes of /etc. What something else lies in, or around, is for
    bubblewrap, which makes it in the order of the box."""
    if Devices() not in box.operations:
        return ()
    parts, others = list[System](), list[str]()
    for each in box.operations:
        if isinstance(each, System) and each.is_part:
            parts.append(each)
        elif not isinstance(each, Devices | Processes) and is_within(each.target, _ETC):
            others.append(each.target)
    return tuple(
        part
        for part in parts
        if not any(is_within(each, part.target) or is_within(part.target, each) for each in others)
    )


def spell_wholes(parts: Sequence[System]) -> Iterator[str]:
    """The words by which bubblewrap makes the box's /dev, and the wholes in there."""
    for mode, target in (("0755", "/dev"), ("0700", _WHOLE)):
        yield from ("--perms", mode, "--size", _BYTES, "--tmpfs", target)
    yield from ("--dev-bind", "/dev", f"{_WHOLE}/dev")
    if parts:
        yield from ("--ro-bind", _ETC, _WHOLE + _ETC)


def spell_place(part: System) -> list[str]:
    """Those for the directory in which the launcher makes it."""
    place = part.target.rpartition("/")[0]
    return [] if place == _ETC else ["--perms", "0755", "--dir", place]


def list_parts(box: Box, parts: Sequence[System]) -> Iterator[str]:
    """Pairs for the launcher: what it takes from where, and what it closes then."""
    if Devices() in box.operations:
        yield from ("d", "/dev")
    for part in parts:
        yield from (_WHOLE + part.path, part.target)
    for each in (*box.operations, Closed("/")):
        if isinstance(each, Closed):
            yield from ("r", each.target)
