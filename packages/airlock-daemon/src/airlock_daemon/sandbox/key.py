"""When one box is as good as another: all that it is made of, and what stood there at the time."""

import os
from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from airlock_daemon.command.order import Identity
from airlock_daemon.platform.linux.mountinfo import relative_to
from airlock_daemon.sandbox.box import Box, Devices, Shared, System
from airlock_daemon.sandbox.marks import Mark, look, look_around, look_closer


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """Two boxes of equal keys are interchangeable as long as no command was started in either.

    `box` has everything but where the command starts in it. `shared` marks what others than its
    owner could put another in place of, in the order in which a box is made; `covered` that at
    which something else is mounted; `system` what the owner may have replaced, and `copied` what
    the owner may have written in its place, of which a box has a copy.
    """

    bubblewrap: str
    identity: Identity
    box: Box
    shared: tuple[Mark, ...]
    system: tuple[Mark, ...]
    copied: tuple[Mark, ...]
    covered: tuple[Mark, ...]


def find_key(box: Box, *, bubblewrap: str, identity: Identity) -> Key:
    """The key of a box that is to be made now."""
    shared = list_shared(box)
    system = [each for each in box.operations if isinstance(each, System)]
    return Key(
        bubblewrap=bubblewrap,
        identity=identity,
        box=replace(box, directory="", is_shared=False),
        # A link on the way could lead elsewhere: then it is not what a box was made of.
        shared=tuple([look(each.path) for each in shared]),
        system=look_around([each.path for each in system]),
        copied=tuple([look_closer(each.path) for each in system if each.is_copied]),
        covered=tuple([look(path) for path in _list_covered(box, shared)]),
    )


def list_shared(box: Box) -> list[Shared]:
    """What of the box others may write, in the order in which it is opened."""
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


def _list_covered(box: Box, shared: Sequence[Shared]) -> Iterator[str]:
    """The paths of the host at which the box has something else."""
    if box.home is not None:
        yield box.home.path
        yield from (each.target for each in box.home.hidden)
    for placed in box.inner:
        for each in shared:
            rest = relative_to(placed.target, each.target)
            if rest:
                yield os.path.join(each.path, rest)
