"""A program that looks for all that is around it: nothing but what the list has may be there."""

from collections.abc import Iterator
from functools import partial

from e2e.canary.attack import Attack, Family
from e2e.canary.boxes.around import accuse, look_around
from e2e.canary.boxes.run import why_not
from e2e.canary.boxes.scene import BoxScene

# What is looked at, the guard that keeps it away, and the kinds of the list.
_SIGHTS = (
    ("files", "files", ("file", "written", "mount")),
    ("processes", "processes", ("process", "of the kernel")),
    ("namespaces", "processes", ("namespace",)),
    ("sockets", "network", ("socket", "interface", "file of a socket")),
    ("devices", "privileges", ("device",)),
    ("rights", "privileges", ("capability", "right")),
    ("descriptors", "descriptors", ("descriptor",)),
    ("variables", "environment", ("variable",)),
)
# Which get nothing even without their guard: a device that is not in the box is not made so.
_NEVER = ("devices",)


def _look(scene: BoxScene, *, kinds: tuple[str, ...]) -> bytes:
    return accuse(scene, look_around(scene, "python3"), *kinds)


def _look_with(scene: BoxScene, *, command: str, what: str, kinds: tuple[str, ...]) -> bytes:
    """The same in a box of another module, which has `what` besides."""
    named = [
        thing._replace(kind=f"{thing.kind} with {what}") for thing in look_around(scene, command)
    ]
    return accuse(scene, named, *(f"{kind} with {what}" for kind in kinds))


def _attacks() -> Iterator[Attack]:
    for name, guard, kinds in _SIGHTS:
        run = partial(_look, kinds=kinds)
        yield Attack(f"all {name} around", f"box-{guard}", run, name not in _NEVER)
        if name not in ("descriptors", "variables"):
            continue
        for command, what, only in (("relay", "a relay", ""), ("way", "a network", "bubblewrap")):
            run = partial(_look_with, command=command, what=what, kinds=kinds)
            yield Attack(f"all {name} around, with {what}", f"box-{guard}", run, True, only=only)


FAMILY = Family("box-around", tuple(_attacks()), why_not)
