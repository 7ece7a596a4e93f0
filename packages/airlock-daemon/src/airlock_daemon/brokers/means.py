"""How brokers ask the world: programs of the host, and names."""

from collections.abc import Awaitable, Callable

import msgspec
import trio

Ask = Callable[[str, tuple[str, ...]], Awaitable[tuple[int, bytes]]]


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """How the world is asked: programs of the host by `ask`, which takes a program and its words
    and gives exit status and output, and names by threads of which `lookups` gives some.

    `home` is that of the daemon's user.
    """

    ask: Ask
    lookups: trio.CapacityLimiter
    home: str
