"""How brokers ask the world: programs of the host, and names."""

from collections.abc import Mapping
from typing import NamedTuple, Protocol

import msgspec
import trio


class Answered(NamedTuple):
    """How a program of the host ended, and what it put on stdout and, at first, on stderr.

    What it complains of is for people of the host alone.
    """

    status: int
    printed: bytes
    complaint: bytes


class Ask(Protocol):
    """Runs a program of the host in the broker's empty directory."""

    async def __call__(
        self,
        program: str,
        argv: tuple[str, ...],
        /,
        *,
        said: bytes = b"",
        more: Mapping[str, str] = {},
    ) -> Answered:
        """`said` is its stdin, `more` are further variables. Raises Failed for no answer."""


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """How the world is asked: programs of the host by `ask`, and names by threads of which
    `lookups` gives some.

    `home` is that of the daemon's user, `variables` are what programs are run with.
    """

    ask: Ask
    lookups: trio.CapacityLimiter
    home: str
    variables: Mapping[str, str]
