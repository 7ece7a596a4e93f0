"""A crowd of clients, as a process of its own: ``python -m bench.load KIND ...``.

It says ``ready`` on stdout once each client has tried, goes on until its stdin ends, and then
prints the `Counts` of what its clients were answered, as JSON.
"""

import argparse
import json
import resource
import sys
from contextlib import suppress
from typing import Literal, get_args

import msgspec
import trio

Kind = Literal["idle", "commands", "refusals", "line"]
"""What the clients do: connect and say nothing; send requests without a pause, which run or are
refused; send a line that is too long.
"""

_CHUNK = 65536

_AGAIN_S = 1.0
"""A client that was turned away, or says nothing, comes back after this, so that it is no flood."""


class Counts(msgspec.Struct):
    """How connections ended, those that were open to the last not counted.

    `limited` were told that they are over a limit, `answered` something else, `silent` nothing.
    """

    opened: int = 0
    limited: int = 0
    answered: int = 0
    silent: int = 0

    def add(self, answer: bytes) -> None:
        """Count the end of one connection by all that it was answered."""
        if b'"layer":"limit"' in answer.replace(b" ", b""):
            self.limited += 1
        elif answer:
            self.answered += 1
        else:
            self.silent += 1


class Crowd:
    """`count` clients of one kind at one socket. `message` is what each connection sends."""

    def __init__(self, kind: Kind, path: str, *, count: int, message: bytes) -> None:
        self.counts = Counts()
        self.ready = trio.Event()
        self._kind = kind
        self._path = path
        self._message = message
        self._left = self._count = count

    async def run(self) -> None:
        """Keep all clients at it until cancelled."""
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
        """Open one connection, and return what came over it until its end; b"" without one."""
        answer = b""
        try:
            async with await trio.open_unix_socket(self._path) as stream:
                self.counts.opened += 1
                if is_first and self._kind == "idle":
                    self._note_try()
                    is_first = False
                # A daemon that has answered already may not read the rest.
                with suppress(trio.BrokenResourceError):
                    await stream.send_all(self._message)
                answer = await _receive_all(stream)
                self.counts.add(answer)
        except OSError:
            # Nobody accepts: the table of descriptors, or the queue of connections, is full.
            await trio.lowlevel.checkpoint()
        if is_first:
            self._note_try()
        return answer

    def _note_try(self) -> None:
        self._left -= 1
        if not self._left:
            self.ready.set()


async def _receive_all(stream: trio.SocketStream) -> bytes:
    pieces = []
    with suppress(trio.BrokenResourceError):
        while piece := await stream.receive_some(_CHUNK):
            pieces.append(piece)
    return b"".join(pieces)


def _write_message(kind: Kind, *, directory: str, size: int) -> bytes:
    match kind:
        case "idle":
            return b""
        case "line":
            return b"x" * size
        case "commands" | "refusals":
            arguments = ["--refused"] if kind == "refusals" else []
            params = {"command": "true", "args": arguments, "cwd": directory}
            message = {"jsonrpc": "2.0", "id": 1, "method": "exec", "params": params}
            return json.dumps(message).encode() + b"\n"


async def _run(crowd: Crowd) -> None:
    async with trio.open_nursery() as nursery:
        nursery.start_soon(crowd.run)
        await crowd.ready.wait()
        print("ready", flush=True)
        await trio.lowlevel.wait_readable(sys.stdin.fileno())
        nursery.cancel_scope.cancel()


def main() -> None:
    """Make the load that the command line names."""
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
