"""How a command in a box reaches the APIs of its agent: what serves them, as a request sees it."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

import trio

from airlock_daemon.sandbox.api_access import ApiAccess

if TYPE_CHECKING:
    from airlock_daemon.request.recording import Recording


class Apis(Protocol):
    """Serves the APIs of one agent, to its containers and to its boxes."""

    async def prepare(self) -> ApiAccess:
        """What a box is given, once what it needs of that is published; raises AirlockError."""

    async def carry(
        self,
        connection: trio.SocketStream,
        recording: "Recording",
        network: Callable[[], tuple[str, ...]],
        tell: Callable[[str], None],
    ) -> None:
        """Serve a connection out of a box to its end; it stays the caller's to close.

        `recording` is that of the request that has the box. Beside what the agent may reach
        without a credential, this connection may reach what `network` returns, which is asked
        again after each reload. Why it was refused is told. Raises nothing but for cancellation,
        which ends it.
        """
