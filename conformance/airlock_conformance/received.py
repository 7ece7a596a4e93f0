"""What a daemon sent on one connection, checked as it comes in."""

import json
from collections.abc import Mapping
from typing import Any, Literal

from airlock_conformance.checks import Checks
from airlock_conformance.message_schemas import decode_data, kind_from_daemon, message_faults
from airlock_conformance.session_rules import Asked, daemon_message_faults, start_faults
from airlock_conformance.violation import Violation

Stream = Literal["stdout", "stderr"]


class Received:
    """The messages of one connection: perhaps `start`, output by stream, at most one response.

    `asked` is what the request asked for, which the sender of it notes. `granted` is how many
    bytes of stdin the daemon has allowed so far. Each `feed` raises `Violation` for a line that
    is no JSON object in UTF-8, for a message that its schema refuses or that needs a feature which
    is not in use, and for anything after the response.
    """

    def __init__(self, *, checks: Checks | None = None) -> None:
        self.asked = Asked()
        self.start: Mapping[str, Any] | None = None
        self.granted = 0
        self.output: dict[Stream, bytearray] = {"stdout": bytearray(), "stderr": bytearray()}
        self.response: dict[str, Any] | None = None
        self._checks = Checks() if checks is None else checks
        self._began = False
        self._rest = bytearray()

    @property
    def features(self) -> tuple[str, ...]:
        """The features in use: none before `start`."""
        return () if self.start is None else tuple(self.start["features"])

    def feed(self, data: bytes) -> None:
        """Take bytes as they came from the socket."""
        self._rest += data
        if b"\n" in data:
            *lines, rest = self._rest.split(b"\n")
            self._rest = rest
            for line in lines:
                self._take(bytes(line))

    def finish(self) -> None:
        """Take the end of the stream; raises `Violation` if it cuts a message off."""
        if self._rest:
            raise Violation(f"the connection closed inside a message: {bytes(self._rest[:200])!r}")

    def _take(self, line: bytes) -> None:
        message, fault = read_object(line)
        self._checks.require("daemon-line-is-json", fault)
        late = [f"a message after the response: {line[:200]!r}"] if self.response else []
        self._checks.require("daemon-one-response", late)
        kind = kind_from_daemon(message)
        if kind is None:
            text = f"a message that the protocol does not have: {line[:500]!r}"
            self._checks.refuse("daemon-uses-what-it-started", text)
        faults = message_faults(message, kind, base_only=self._checks.base_only)
        self._checks.require(f"daemon-message-{kind}", faults)
        self._checks.require("daemon-start-once-and-first", self._order_faults(kind))
        self._began = True
        if kind == "start":
            self._checks.require(
                "daemon-start-is-asked-for", start_faults(self.asked, message["params"])
            )
            self.start = message["params"]
            self.granted = self.start.get("stdin_credit", 0)
            return
        self._checks.require(
            "daemon-uses-what-it-started", daemon_message_faults(self.features, kind, message)
        )
        match kind:
            case "output":
                self.output[message["params"]["stream"]] += decode_data(message["params"])
            case "credit":
                self.granted += message["params"]["bytes"]
            case _:
                self.response = message

    def _order_faults(self, kind: str) -> list[str]:
        if kind == "start":
            if not self.asked.wants_start:
                return ["a start that the request did not ask for"]
            return ["a start that is not the first message"] if self._began else []
        is_due = self.asked.wants_start and self.start is None and not self._checks.base_only
        if is_due and kind in ("output", "exec-result"):
            return [f"{kind} before start, to a request with features"]
        return []


def read_object(line: bytes) -> tuple[dict[str, Any], list[str]]:
    """Return the JSON object of a line, and what is wrong with it where it is none."""
    try:
        message = json.loads(line.decode("utf-8"))
    except ValueError as error:
        return {}, [f"a line that is not JSON in UTF-8: {line[:200]!r} ({error})"]
    if not isinstance(message, dict):
        return {}, [f"a line that is not a JSON object: {line[:200]!r}"]
    return message, []
