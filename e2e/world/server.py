"""A server as a process of its own, on a port of the loopback interface."""

import random
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from .errors import PATIENCE_S, NothingHappened

_TICK_S = 0.01


def choose_port() -> int:
    """Return a port of 127.0.0.1 at which nobody listens.

    It is none of those that systems give out by themselves (`ip_local_port_range` of ip(7)): such a
    one could be the end of anybody's connection by the time that a server is to listen there.
    """
    while True:
        port = random.randrange(16384, 32768)  # noqa: S311 - it is no secret
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


@contextmanager
def running_server(
    argv: Sequence[str | Path],
    *,
    port: int,
    said: Path,
    environment: Mapping[str, str],
    address: str = "127.0.0.1",
) -> Iterator[None]:
    """Run `argv` for as long as the context lasts; it listens on `port` of `address`.

    What it writes goes to the file `said`. Raises NothingHappened with that where it does not
    listen within PATIENCE_S.
    """
    with said.open("wb") as output:
        process = subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )
    try:
        until = time.monotonic() + PATIENCE_S
        while not _listens(address, port):
            try:
                process.wait(_TICK_S)
            except subprocess.TimeoutExpired:
                if time.monotonic() < until:
                    continue
            raise NothingHappened(f"{argv[0]} does not listen; it said:\n{said.read_text()}")
        yield
    finally:
        process.terminate()
        process.wait()


def _listens(address: str, port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((address, port)) == 0
