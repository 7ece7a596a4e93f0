"""A crowd of clients, as a separate process: ``python -m bench.load KIND ...``.

It prints ``ready`` once the daemon has seen each client, continues until its stdin ends, and then
prints the `Counts` of its clients' answers as JSON.
"""

import argparse
import resource
import socket
import sys
from contextlib import suppress
from typing import Literal, get_args

import msgspec
import trio
from e2e.world.lines import make_request

Kind = Literal["idle", "commands", "refusals", "line"]
"""The load of a client: an idle connection; requests without pause that run, or that are refused; a
line that is too long.
"""

_CHUNK = 65536

_AGAIN_S = 1.0
"""A rejected or silent client reconnects after this, so that it is no flood."""


_QUEUE_S = 0.01
"""A client that finds the listen queue full retries after this."""


_PATIENCE_S = 5.0
"""A daemon that has not accepted the last connection by then never will."""


class Counts(msgspec.Struct):
    """How connections ended, not counting those open at the end.

    `limited` got an error about a limit, `answered` another answer, `silent` none.
    """

    opened: int = 0
    limited: int = 0
    answered: int = 0
    silent: int = 0

    def add(self, answer: bytes) -> None:
        """Count one ended connection by its whole answer."""
        if b'"layer":"limit"' in answer.replace(b" ", b""):
            self.limited += 1
        elif answer:
            self.answered += 1
        else:
            self.silent += 1


class Crowd:
    """`count` clients of one kind at one socket. Each connection sends `message`."""

    def __init__(self, kind: Kind, path: str, *, count: int, message: bytes) -> None:
        self.counts = Counts()
        self.ready = trio.Event()
        self._kind = kind
        self._path = path
        self._message = message
        self._left = self._count = count

    async def run(self) -> None:
        """Run all clients until cancelled."""
        async with trio.open_nursery() as nursery:
            for _ in range(self._count):
                nursery.start_soon(self._run_client)

    async def _run_client(self) -> None:
        answer = await self._connect(is_first=True)
        while True:
            if self._kind == "idle" or not answer:
                await trio.sleep(_AGAIN_S)
            answer = await self._connect()

    async def _connect(self, *, is_first: bool = False) -> bytes:
        """Open one connection, and return all received until its end; b"" if it failed."""
        answer = b""
        try:
            async with await _open(self._path) as stream:
                self.counts.opened += 1
                if is_first and self._kind == "idle":
                    self._note_try()
                    is_first = False
                # A daemon that has answered already may not read the rest.
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(self._message)
                try:
                    with suppress(trio.BrokenResourceError):
                        while piece := await stream.receive_some(_CHUNK):
                            answer += piece
                except trio.Cancelled:
                    # An answer counts even if the connection has not ended yet.
                    if answer:
                        self.counts.add(answer)
                    raise
                self.counts.add(answer)
        except OSError:
            # The daemon has gone or refused the connection.
            await trio.lowlevel.checkpoint()
        if is_first:
            self._note_try()
        return answer

    async def wait_served(self) -> None:
        """Wait until the daemon has accepted all earlier connections, which it does in order."""
        with suppress(OSError, trio.BrokenResourceError), trio.move_on_after(_PATIENCE_S):
            async with await _open(self._path) as stream:
                await stream.send_eof()
                while await stream.receive_some(_CHUNK):
                    pass

    def _note_try(self) -> None:
        self._left -= 1
        if not self._left:
            self.ready.set()


async def _open(path: str) -> trio.SocketStream:
    """Connect, retrying while the listen queue is full.

    connect(2) then fails with EAGAIN, which trio treats as EINPROGRESS: it would continue with an
    unconnected socket.
    """
    connection = socket.socket(socket.AF_UNIX)
    connection.setblocking(False)
    try:
        while True:
            try:
                connection.connect(path)
            except BlockingIOError:
                await trio.sleep(_QUEUE_S)
            else:
                return trio.SocketStream(trio.socket.from_stdlib_socket(connection))
    except BaseException:
        connection.close()
        raise


def _write_message(kind: Kind, *, directory: str, size: int) -> bytes:
    match kind:
        case "idle":
            return b""
        case "line":
            return b"x" * size
        case "commands" | "refusals":
            arguments = ["--refused"] if kind == "refusals" else []
            return make_request("true", *arguments, cwd=directory)


async def _run(crowd: Crowd) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.run)
        await crowd.ready.wait()
        await crowd.wait_served()
        print("ready", flush=True)
        await trio.lowlevel.wait_readable(sys.stdin.fileno())
        nursery.cancel_scope.cancel()


def main() -> None:
    """Generate the load that the command line names."""
    parser = argparse.ArgumentParser(prog="python -m bench.load")
    parser.add_argument("kind", choices=get_args(Kind))
    parser.add_argument("--socket", required=True)
    parser.add_argument("--count", type=int, required=True, help="clients")
    parser.add_argument("--directory", required=True, help="the requests' working directory")
    parser.add_argument("--size", type=int, default=0, help="bytes of the line")
    options = parser.parse_args()
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    message = _write_message(options.kind, directory=options.directory, size=options.size)
    crowd = Crowd(options.kind, options.socket, count=options.count, message=message)
    trio.run(_run, crowd)
    print(msgspec.json.encode(crowd.counts).decode(), flush=True)


if __name__ == "__main__":
    main()
