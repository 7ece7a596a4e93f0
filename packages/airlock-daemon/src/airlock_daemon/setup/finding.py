"""What `check` and `doctor` find: a fault with the name of what was looked at."""

from collections.abc import Iterable, Iterator

from airlock_modules import Fault


class Finding(Fault, frozen=True, kw_only=True, omit_defaults=True):
    """A place (`source`, and in a file its `key`), a cause (`problem`), and a remedy to copy.

    `name` is that of what was looked at. A note is about what may be meant or needs nothing.
    """

    name: str
    is_note: bool = False


def named(name: str, faults: Iterable[Fault]) -> Iterator[Finding]:
    """The same faults, found by looking at what has this name."""
    for fault in faults:
        yield Finding(fault.source, fault.key, fault.problem, fault.remedy, name=name)
