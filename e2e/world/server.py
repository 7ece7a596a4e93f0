"""A server process on a port of the loopback interface."""

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
    """Return a free port of 127.0.0.1.

    It is not an ephemeral port (`ip_local_port_range` of ip(7)): some connection could have taken
    that by the time the server listens.
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
    """Run `argv`, which listens on `port` of `address`, for the length of the context.

    Its output goes to the file `said`. Raises NothingHappened with that if it does not listen
    within PATIENCE_S.
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
