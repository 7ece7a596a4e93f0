"""When one box is as good as another: all that it is made of, and what stood there at the time."""

import os
from collections.abc import Iterator

import msgspec
from msgspec.structs import replace

from airlock_daemon.command.order import Identity
from airlock_daemon.sandbox.box import Box, Devices, Home, Shared, System
from airlock_daemon.sandbox.marks import Mark, look, look_around, look_closer


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """Two boxes of equal keys are interchangeable as long as no command was started in either.

    `box` has everything but where the command starts in it, and marks what others than its owner
    could put another in place of. `covered` marks that of the home at which something else is
    mounted; `system` what the owner may have replaced, and `copied` what the owner may have written
    in its place, of which a box has a copy.
    """

    bubblewrap: str
    identity: Identity
    box: Box
    system: tuple[Mark, ...]
    copied: tuple[Mark, ...]
    covered: tuple[Mark, ...]


def find_key(box: Box, *, bubblewrap: str, identity: Identity) -> Key:
    """The key of a box that is to be made now."""
    system = [each for each in box.operations if isinstance(each, System)]
    return Key(
        bubblewrap=bubblewrap,
        identity=identity,
        box=replace(box, directory="", is_shared=False),
        system=look_around([each.path for each in system]),
        copied=tuple([look_closer(each.path) for each in system if each.is_copied]),
        covered=() if box.home is None else tuple(map(look, _list_covered(box.home))),
    )


def list_shared(box: Box) -> list[Shared]:
    """What of the box others may write."""
    hidden = () if box.home is None else box.home.hidden
    everything = (*box.operations, *(each.what for each in (*hidden, *box.inner)))
    return [each for each in everything if isinstance(each, Shared)]


def list_sources(box: Box) -> Iterator[str]:
    """The paths of the host at which what the box shows is found, whoever may write there."""
    for each in box.operations:
        match each:
            case System(path=path):
                yield path
                yield os.path.realpath(path)
            case Devices():
                yield "/dev"
    yield from (each.path for each in list_shared(box))


def _list_covered(home: Home) -> Iterator[str]:
    """The paths of the host at which a box with that home has something else."""
    yield home.path
    yield from (each.target for each in home.hidden)
