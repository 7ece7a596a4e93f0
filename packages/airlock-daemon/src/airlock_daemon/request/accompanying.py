"""What is served for a command for as long as it runs."""

from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

import trio

_Result = TypeVar("_Result")


class Companion(Protocol):
    """Serves what the tools of one command ask for."""

    async def serve(self, nursery: trio.Nursery) -> None:
        """Serve until cancelled; may have the nursery do some of it."""


async def accompany(companion: Companion, run: Callable[[], Awaitable[_Result]]) -> _Result:
    """Serve while `run` does what it does, whose result is returned; at its end all end."""
    outcome: _Result | Exception
    async with trio.open_nursery() as nursery:
        nursery.start_soon(companion.serve, nursery)
        try:
            outcome = await run()
        except Exception as error:  # noqa: BLE001 - a nursery would put it into a group
            outcome = error
        nursery.cancel_scope.cancel()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
