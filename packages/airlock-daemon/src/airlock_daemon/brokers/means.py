"""How brokers ask the world: programs of the host, and names."""

from collections.abc import Mapping
from typing import Protocol

import msgspec
import trio


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
    ) -> tuple[int, bytes]:
        """Return exit status and output. `said` is its stdin, `more` further variables."""


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """How the world is asked: programs of the host by `ask`, and names by threads of which
    `lookups` gives some.

    `home` is that of the daemon's user, `variables` are what programs are run with.
    """

    ask: Ask
    lookups: trio.CapacityLimiter
    home: str
    variables: Mapping[str, str]
