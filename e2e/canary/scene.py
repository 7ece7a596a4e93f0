"""A running daemon under attack, and how a client speaks with it."""

import base64
import json
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial

from e2e.canary.world import World
from e2e.world.client import Client, Message
from e2e.world.daemon import Daemon
from e2e.world.lines import make_message, make_request


class Scene:
    """`daemon` serves `world`; `requests` counts what was asked of it, of each agent."""

    def __init__(self, world: World, daemon: Daemon) -> None:
        self.world = world
        self.daemon = daemon
        self.requests: dict[str, int] = {}

    def fill(self, text: str) -> str:
        """Put what the world has for each `<name>`."""
        return self.world.fill(text)

    def fill_bytes(self, data: bytes) -> bytes:
        """As `fill`, for bytes."""
        return self.world.fill_bytes(data)

    def request(
        self,
        words: Sequence[str],
        *features: str,
        command: str = "git-remote",
        method: str = "exec",
        **params: object,
    ) -> bytes:
        """The line that asks for a command with these words."""
        filled = [self.fill(word) for word in words]
        return make_request(command, *filled, method=method, features=features, **params)

    def connect(self, agent: str) -> Client:
        """A connection on which one request will be made."""
        self.requests[agent] = self.requests.get(agent, 0) + 1
        return Client(self.world.socket(agent))

    def converse(
        self,
        agent: str,
        words: Sequence[str],
        *,
        command: str = "git-remote",
        says: bytes = b"",
        then: bytes = b"",
        way: str = "pipes",
        env: Mapping[str, str] | None = None,
    ) -> bytes:
        """Ask, say everything on stdin, end it, and return all that comes back.

        `then` is said last, once something of the output is there, or there will be none.
        `way` is "pipes", on which all goes, "messages", or "check" to ask without doing.
        """
        environment = {name: self.fill(value) for name, value in (env or {}).items()}
        request = partial(self.request, words, command=command)
        if way == "check":
            with self.connect(agent) as client:
                client.send(request(method="check"))
                return hear(client)
        if way == "messages":
            with self.connect(agent) as client:
                features = ("env", "base64", "stdin")
                client.send(request(*features, env=environment))
                # A start, or the error that comes in its place: nothing may be said before.
                first = client.next_message()
                seen = [first]
                if first is not None and first.get("method") == "start":
                    self.send_input(client, says)
                    if then:
                        seen.append(client.next_message())
                        self.send_input(client, then)
                    client.send(make_message("stdin", eof=True))
                lines = [json.dumps(each, ensure_ascii=False).encode() for each in seen]
                return b"\n".join((*lines, hear(client)))
        line = request("env", "fds", env=environment)
        with self.connect(agent) as client:
            return carry(client, line, self.fill_bytes(says), self.fill_bytes(then))

    def send_input(self, client: Client, says: bytes) -> None:
        """Send some of what is said on stdin, in a message."""
        data = base64.b64encode(self.fill_bytes(says)).decode()
        client.send(make_message("stdin", data=data, encoding="base64"))


def carry(client: Client, line: bytes, says: bytes, then: bytes = b"") -> bytes:
    """Make the request with pipes for its streams; returns answers and what came on the pipes.

    `then` is said once something came on a pipe, or both have ended.
    """
    stdin, stdout, stderr = os.pipe(), os.pipe(), os.pipe()
    client.send(line, [stdin[0], stdout[1], stderr[1]])
    for number in (stdin[0], stdout[1], stderr[1]):
        os.close(number)
    seen: list[bytes] = []
    heard = threading.Event()
    threads = [
        threading.Thread(target=_write, args=(stdin[1], says, heard if then else None, then)),
        threading.Thread(target=_read, args=(stdout[0], seen, heard)),
        threading.Thread(target=_read, args=(stderr[0], seen, threading.Event())),
    ]
    for thread in threads:
        thread.start()
    seen.append(hear(client))
    for thread in threads:
        thread.join()
    return b"".join(seen)


def hear(client: Client) -> bytes:
    """Everything that the daemon says, and the output in it decoded."""
    seen = []
    while (message := client.next_message()) is not None:
        seen += [json.dumps(message, ensure_ascii=False).encode(), read_output(message)]
    return b"\n".join(seen)


def read_output(message: Message) -> bytes:
    """What a message brings of the output; b"" for another message."""
    params = message.get("params", {})
    if message.get("method") != "output":
        return b""
    if params.get("encoding") == "base64":
        return base64.b64decode(params["data"])
    return str(params["data"]).encode()


def _write(number: int, says: bytes, heard: threading.Event | None, then: bytes) -> None:
    with suppress(BrokenPipeError), open(number, "wb", buffering=0) as file:
        for data in (says, then):
            view = memoryview(data)
            while view:
                view = view[file.write(view) or 0 :]
            if heard is not None:
                heard.wait()


def _read(number: int, seen: list[bytes], heard: threading.Event) -> None:
    with open(number, "rb", buffering=0) as file:
        parts = []
        while data := file.read(65536):
            parts.append(data)
            heard.set()
        heard.set()
        seen.append(b"".join(parts))
