"""What a daemon sent on one connection, checked as it comes in."""

import json
from typing import Any, Literal

from airlock_conformance.message_schemas import kind_from_daemon, require_valid
from airlock_conformance.violation import Violation

Stream = Literal["stdout", "stderr"]


class Received:
    """The messages of one connection: output by stream, then at most one response.

    Each `feed` raises `Violation` for a line that is no JSON object in UTF-8, for a message that
    its schema refuses, and for anything after the response.
    """

    def __init__(self) -> None:
        self.output: dict[Stream, str] = {"stdout": "", "stderr": ""}
        self.response: dict[str, Any] | None = None
        self._rest = b""

    def feed(self, data: bytes) -> None:
        """Take bytes as they came from the socket."""
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(line)

    def finish(self) -> None:
        """Take the end of the stream; raises `Violation` if it cuts a message off."""
        if self._rest:
            raise Violation(f"the connection closed inside a message: {self._rest[:200]!r}")

    def _take(self, line: bytes) -> None:
        message = _parse(line)
        if self.response is not None:
            raise Violation(f"a message after the response: {line[:200]!r}")
        kind = kind_from_daemon(message)
        require_valid(message, kind)
        if kind == "output":
            self.output[message["params"]["stream"]] += message["params"]["data"]
        else:
            self.response = message


def _parse(line: bytes) -> dict[str, Any]:
    try:
        message = json.loads(line.decode("utf-8"))
    except ValueError as error:
        raise Violation(f"a line that is not JSON in UTF-8: {line[:200]!r} ({error})") from error
    if not isinstance(message, dict):
        raise Violation(f"a line that is not a JSON object: {line[:200]!r}")
    return message
