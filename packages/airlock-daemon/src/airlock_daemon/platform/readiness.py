"""Which of many descriptors are ready: an epoll (epoll(7)), or poll(2) where there is none."""

import select
import sys
from types import TracebackType
from typing import Protocol, Self

# The numbers of epoll(7)'s EPOLLIN and so on, too.
READABLE = select.POLLIN
WRITABLE = select.POLLOUT
GONE = select.POLLHUP | select.POLLERR
"""Always reported: the other side is closed in both directions."""

HANGUPS_ALONE: int = getattr(select, "EPOLLONESHOT", 0)
"""As events: wait for nothing but GONE."""


class Readiness(Protocol):
    """What is used of select.epoll. Its own descriptor is readable while one of its is ready."""

    def register(self, descriptor: int, events: int, /) -> None:
        """Add a descriptor."""

    def modify(self, descriptor: int, events: int, /) -> None:
        """Change the events of a descriptor."""

    def unregister(self, descriptor: int, /) -> None:
        """Remove a descriptor, before it is closed."""

    def poll(self, timeout: float, most: int = -1, /) -> list[tuple[int, int]]:
        """Return at most `most` ready descriptors with their events; `timeout` is 0."""

    def fileno(self) -> int:
        """Return its own descriptor."""

    def close(self) -> None:
        """Release everything but the registered descriptors."""

    def __enter__(self) -> Self:
        """Return it."""

    def __exit__(
        self,
        kind: type[BaseException] | None = None,
        error: BaseException | None = None,
        trace: TracebackType | None = None,
        /,
    ) -> None:
        """Close it."""


def open_readiness() -> Readiness:
    """Make an empty set of descriptors, for the caller to close."""
    if sys.platform == "linux" and hasattr(select, "epoll"):
        return select.epoll()
    from airlock_daemon.platform.posix.poll_set import PollSet  # noqa: PLC0415 - for macOS

    return PollSet()
