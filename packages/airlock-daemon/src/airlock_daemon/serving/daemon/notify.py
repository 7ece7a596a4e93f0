"""Messages to the service manager that started the daemon: sd_notify(3).

Without a manager (NOTIFY_SOCKET unset), nothing is sent or stored.
"""

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence

from airlock_daemon.serving.request.state import log

# Seconds that the manager waits for a stop beyond the commands' grace period.
_TO_END = 30

# The first descriptor that a manager passes (SD_LISTEN_FDS_START).
_FIRST = 3


class ServiceManager:
    """The manager of this process, by its environment.

    `capacity` is the number of descriptors that the manager stores for the next start. FDSTORE sets
    it: by systemd since 254, by the unit of `airlock init` for earlier ones.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        named = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{named[1:]}" if named.startswith("@") else named
        self.capacity = _number(environment.get("FDSTORE")) if named else 0

    def ready(self) -> None:
        """Report that clients can connect, after a start or a reload."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Report a reload; `ready` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, grace_s: float) -> None:
        """Report a stop, which gives commands `grace_s` seconds to end."""
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int((grace_s + _TO_END) * 1_000_000)}")

    def keep(self, name: str, descriptor: int) -> bool:
        """Store a copy of `descriptor` in the manager; returns whether it was sent."""
        return self._tell("FDSTORE=1", f"FDNAME={name}", descriptors=(descriptor,))

    def forget(self, name: str) -> None:
        """Have the manager close what it stores by this name."""
        self._tell("FDSTOREREMOVE=1", f"FDNAME={name}")

    def _tell(self, *lines: str, descriptors: Sequence[int] = ()) -> bool:
        if not self._address:
            return False
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as told:
            try:
                told.connect(self._address)
                socket.send_fds(told, ["\n".join(lines).encode()], descriptors)
            except OSError as error:
                log.warning(
                    "the service manager cannot be told %s: %s; start the daemon by it, or "
                    "without NOTIFY_SOCKET",
                    *(lines[0], error.strerror),
                )
                return False
        return True


def take_inherited(environment: Mapping[str, str]) -> Iterator[tuple[str, socket.socket]]:
    """Yield the sockets that the manager stored, with their names (sd_listen_fds(3)).

    Passed descriptors that are no sockets are closed. Children inherit none.
    """
    if _number(environment.get("LISTEN_PID")) != os.getpid():
        return
    names = environment.get("LISTEN_FDNAMES", "").split(":")
    for index in range(_number(environment.get("LISTEN_FDS"))):
        descriptor = _FIRST + index
        os.set_inheritable(descriptor, False)
        try:
            kept = socket.socket(fileno=descriptor)
        except OSError:
            os.close(descriptor)
            continue
        yield names[index] if index < len(names) else "", kept


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() else 0
