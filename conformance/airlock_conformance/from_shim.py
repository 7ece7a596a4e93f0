"""What a shim sent on one connection, checked as it comes in."""

import json
import os
import stat
from collections.abc import Sequence
from typing import Any

from airlock_conformance.checks import Checks
from airlock_conformance.message_schemas import decode_data, kind_from_shim, message_faults
from airlock_conformance.received import read_object
from airlock_conformance.session_rules import Asked, read_request, shim_message_faults

_PERMITTED = ("pipe", "terminal", "null")


class FromShim:
    """The request of a shim and the messages that follow it, held against what was sent to it.

    `stdin` and `eof` are what came of its stdin, `signals` the names and `resizes` the sizes in
    their order. Each method raises `Violation` for what the protocol does not allow.
    """

    def __init__(self, *, checks: Checks) -> None:
        self.request: dict[str, Any] | None = None
        self.stdin = bytearray()
        self.eof = False
        self.signals: list[str] = []
        self.resizes: list[dict[str, int]] = []
        self._checks = checks
        self._asked = Asked()
        self._in_use: frozenset[str] | None = None
        self._granted = 0
        self._rest = bytearray()

    def take_request(self, line: bytes, descriptors: Sequence[int]) -> None:
        """Take the request line and the descriptors that rode on its first byte."""
        message, fault = read_object(line)
        self._checks.require("shim-line-is-json", fault)
        self._checks.require("shim-message-request", message_faults(message, "request"))
        self._asked = read_request(line, descriptors=len(descriptors))
        self._checks.require("shim-passes-descriptors", self._descriptor_faults(descriptors))
        self.request = message

    def note_sent(self, data: bytes) -> None:
        """Take note of what the daemon sends: `start` and `credit` allow more than before."""
        for line in data.splitlines():
            try:
                message = json.loads(line)
            except ValueError:  # the case sends what is no message, or a part of one
                continue
            match message:
                case {"method": "start", "params": {"features": list(names), **rest}}:
                    self._in_use = frozenset(n for n in names if n in (self._asked.features or ()))
                    credit = rest.get("stdin_credit")
                    self._granted = credit if isinstance(credit, int) else 0
                case {"method": "credit", "params": {"bytes": int(count)}}:
                    self._granted += count

    def feed(self, data: bytes) -> None:
        """Take bytes that came after the request."""
        early = [f"{data[:200]!r} before start"] if data and self._in_use is None else []
        self._checks.require("shim-waits-for-start", early)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._take(bytes(line))

    def refuse_descriptors(self) -> None:
        """Take descriptors that came with a later byte than the first."""
        self._checks.refuse("shim-passes-descriptors", "descriptors after the first byte")

    def _take(self, line: bytes) -> None:
        message, fault = read_object(line)
        self._checks.require("shim-line-is-json", fault)
        kind = kind_from_shim(message)
        if kind is None:
            text = f"a message that the protocol does not have: {line[:500]!r}"
            self._checks.refuse("shim-uses-what-was-started", text)
        self._checks.require(f"shim-message-{kind}", message_faults(message, kind))
        in_use = self._in_use or frozenset()
        self._checks.require("shim-uses-what-was-started", shim_message_faults(in_use, kind))
        params = message["params"]
        match kind:
            case "stdin":
                self._take_stdin(params)
            case "signal":
                self.signals.append(params["name"])
            case "resize":
                self.resizes.append(params)

    def _take_stdin(self, params: dict[str, Any]) -> None:
        data = decode_data(params)
        faults = ["data after eof"] if data and self.eof else []
        self.stdin += data
        if len(self.stdin) > self._granted:
            faults.append(f"{len(self.stdin)} bytes of stdin, but {self._granted} were granted")
        self._checks.require("shim-keeps-to-its-credit", faults)
        self.eof = self.eof or params.get("eof") is True

    def _descriptor_faults(self, descriptors: Sequence[int]) -> list[str]:
        if not descriptors:
            return []
        kinds = [kind_of(descriptor) for descriptor in descriptors]
        found = [f"a descriptor is {kind}" for kind in kinds if kind not in _PERMITTED]
        if "fds" not in (self._asked.features or ()):
            found.append("descriptors, but fds is not asked for")
        if len(kinds) != 3:
            found.append(f"{len(kinds)} descriptors instead of 3")
        return found


def kind_of(descriptor: int) -> str:
    """Return what a descriptor is: one of the permitted kinds, or else its link."""
    link = os.readlink(f"/proc/self/fd/{descriptor}")
    is_device = stat.S_ISCHR(os.fstat(descriptor).st_mode)
    if link == os.devnull and is_device:
        return "null"
    if link.startswith("pipe:["):
        return "pipe"
    return "terminal" if is_device and os.isatty(descriptor) else link
