"""How a command in a box reaches the APIs of its agent: what serves them, as a request sees it."""

from collections.abc import Callable
from typing import Protocol

import trio

from airlock_daemon.audit.record import Record
from airlock_daemon.sandbox.api_access import ApiAccess


class Apis(Protocol):
    """Serves the APIs of one agent, to its containers and to its boxes."""

    async def prepare(self) -> ApiAccess:
        """What a box is given, once what it needs of that is published; raises AirlockError."""

    async def carry(
        self,
        connection: trio.SocketStream,
        record: Record,
        network: Callable[[], tuple[str, ...]],
        tell: Callable[[str], None],
    ) -> None:
        """Serve a connection out of a box to its end; it stays the caller's to close.

        `record` is what is known of the request that has the box. Beside what the agent may reach
        without a credential, this connection may reach what `network` returns, which is asked
        again after each reload. Why it was refused is told. Raises nothing but for cancellation,
        which ends it.
        """
