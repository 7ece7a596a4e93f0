"""Runs blocking calls in threads, of which the host may refuse more, and tasks beside a task."""

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio

from airlock_daemon.errors import Failed

T = TypeVar("T")


async def run_in_thread(
    act: Callable[[], T],
    *,
    limiter: trio.CapacityLimiter | None = None,
    abandon_on_cancel: bool = True,
) -> T:
    """As trio.to_thread.run_sync; raises Failed if the kernel starts no thread."""
    is_begun = False

    def act_in_thread() -> T:
        nonlocal is_begun
        is_begun = True
        return act()

    try:
        return await trio.to_thread.run_sync(
            act_in_thread, limiter=limiter, abandon_on_cancel=abandon_on_cancel
        )
    except RuntimeError as error:
        if is_begun:
            raise
        raise Failed(
            "the daemon can start no more threads",
            hint="end other commands; a person on the host can raise what the daemon may have: "
            "TasksMax= of its unit, the pids limit of its container, ulimit -u",
        ) from error


async def run_with_others(act: Callable[[trio.Nursery], Awaitable[T]]) -> T:
    """Return the result of `act`, with which the tasks end that it starts in its nursery.

    Its error is raised as it is: a nursery would put it into a group.
    """
    outcome: T | Exception
    async with trio.open_nursery() as nursery:
        try:
            outcome = await act(nursery)
        except Exception as error:  # noqa: BLE001 - raised again below
            outcome = error
        nursery.cancel_scope.cancel()
    if isinstance(outcome, Exception):
        raise outcome
    return outcome
