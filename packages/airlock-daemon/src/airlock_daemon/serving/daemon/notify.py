"""Messages to the service manager that started the daemon: sd_notify(3).

Without such a manager, which NOTIFY_SOCKET would name, nobody is told and nothing is kept.
"""

import os
import socket
import time
from collections.abc import Iterator, Mapping, Sequence

from airlock_daemon.serving.request.state import log

# How long the manager waits for a stop beyond the time that commands are given, in seconds.
_TO_END = 30

# The first descriptor that a manager passes (SD_LISTEN_FDS_START).
_FIRST = 3


class ServiceManager:
    """The manager of this process, by the variables that it was started with.

    `capacity` is how many descriptors the manager keeps for the next start. FDSTORE says so, which
    systemd sets since 254; for earlier ones the unit of `airlock init` does.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        named = environment.get("NOTIFY_SOCKET", "")
        self._address = f"\0{named[1:]}" if named.startswith("@") else named
        self.capacity = _number(environment.get("FDSTORE")) if named else 0

    def ready(self) -> None:
        """Say that clients can connect, after a start as after a reload."""
        self._tell("READY=1")

    def reloading(self) -> None:
        """Say that the files are being read again; `ready` ends it."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={time.monotonic_ns() // 1000}")

    def stopping(self, grace_s: float) -> None:
        """Say that the daemon ends once commands have had `grace_s` seconds to end."""
        self._tell("STOPPING=1", f"EXTEND_TIMEOUT_USEC={int((grace_s + _TO_END) * 1_000_000)}")

    def keep(self, name: str, descriptor: int) -> bool:
        """Give a copy of `descriptor` to the manager, for the next start; whether that was done."""
        return self._tell("FDSTORE=1", f"FDNAME={name}", descriptors=(descriptor,))

    def forget(self, name: str) -> None:
        """Have the manager close what it keeps by this name."""
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
    """The sockets that the manager kept, each with the name it was kept by (sd_listen_fds(3)).

    What is passed and no socket is closed. No program that is started later inherits one.
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
