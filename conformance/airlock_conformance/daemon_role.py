"""The suite as a client: the cases of a daemon."""

from collections.abc import Mapping
from contextlib import closing
from typing import Any

from airlock_conformance.base_only import without_data
from airlock_conformance.checks import Checks
from airlock_conformance.content import encode, substitute
from airlock_conformance.conversation import Conversation
from airlock_conformance.fifo import Fifos
from airlock_conformance.matching import differences
from airlock_conformance.passed_descriptors import PassedDescriptors, await_descriptor
from airlock_conformance.received import Received, Stream
from airlock_conformance.setup import Installation
from airlock_conformance.violation import Violation, require_none

_STREAMS: tuple[Stream, ...] = ("stdout", "stderr")


def run_daemon_case(
    body: Mapping[str, Any],
    installation: Installation,
    *,
    patience: float,
    checks: Checks | None = None,
) -> None:
    """Take the steps of a case against a running daemon and require what it expects.

    `body` has the members ``steps`` and ``expect`` of a case file. Raises `Violation`.
    """
    written = substitute(dict(body), {"state": str(installation.state)})
    judged_by = Checks() if checks is None else checks
    with closing(Fifos(installation.state)) as fifos:
        client = _Client(installation, fifos, patience=patience, checks=judged_by)
        client.converse(written)


class _Client:
    """What plays the steps of one case, on one connection or on several."""

    def __init__(
        self, installation: Installation, fifos: Fifos, *, patience: float, checks: Checks
    ) -> None:
        self._installation = installation
        self._fifos = fifos
        self._patience = patience
        self._checks = checks

    def converse(self, body: Mapping[str, Any]) -> None:
        """Open a connection, take the steps, and require what is expected."""
        expect = body["expect"]
        if self._checks.base_only:
            expect = without_data(expect)
        with (
            closing(PassedDescriptors()) as passed,
            closing(
                Conversation(
                    self._installation.socket,
                    patience=self._patience,
                    checks=self._checks,
                    passed=passed,
                )
            ) as conversation,
        ):
            for step in body["steps"]:
                ((name, value),) = step.items()
                if not (
                    self._act_outside(name, value)
                    or self._act_on_descriptors(passed, conversation, name, value)
                ):
                    _act(conversation, name, value)
            if "response" in expect:
                conversation.await_close()
            _require_answer(expect, conversation.received)
            for name, data in expect.get("descriptors", {}).items():
                passed.take()
                require_none(differences(encode(data), bytes(passed.output[name]), at=name))
            for name in expect.get("released", ()):
                passed.await_released(name, patience=self._patience)
        _require_files(expect.get("files", {}), self._installation)

    def _act_outside(self, name: str, value: Any) -> bool:
        match name:
            case "open_gate":
                self._fifos.open_gate(value)
            case "watch":
                self._fifos.watch(value)
            case "await_release":
                self._fifos.await_release(value, patience=self._patience)
            case "on_another_connection":
                self.converse(value)
            case _:
                return False
        return True

    def _act_on_descriptors(
        self, passed: PassedDescriptors, conversation: Conversation, name: str, value: Any
    ) -> bool:
        match name:
            case "send_with":
                data, after = encode(value["data"]), value.get("after", 0)
                if after:
                    conversation.send(data[:after])
                with passed.made(value["descriptors"]) as descriptors:
                    conversation.send_with(data[after:], descriptors)
            case "write_descriptor":
                for end, content in value.items():
                    passed.write(end, encode(content))
            case "await_descriptor":
                for end, content in value.items():
                    await_descriptor(passed, end, encode(content), patience=self._patience)
            case "close_descriptor":
                passed.drop(value)
            case "await_released":
                passed.await_released(value, patience=self._patience)
            case _:
                return False
        return True


def _act(conversation: Conversation, name: str, value: Any) -> None:
    match name:
        case "send" | "send_deaf":
            conversation.send(encode(value), deaf=name == "send_deaf")
        case "send_each_byte":
            conversation.send_each_byte(encode(value))
        case "send_stdin":
            conversation.send_stdin(encode(value))
        case "overdraw":
            conversation.overdraw(value)
        case "half_close":
            conversation.half_close()
        case "hang_up":
            conversation.close()
        case "await_start":
            conversation.await_start()
            require_none(differences(value, conversation.received.start, at="start.params"))
        case "await_stalled":
            conversation.await_stalled()
        case "await_output":
            for stream in _STREAMS:
                if stream in value:
                    conversation.await_output(stream, encode(value[stream]))
        case _:
            raise ValueError(f"{name} is no step of a daemon case")


def _require_answer(expect: Mapping[str, Any], received: Received) -> None:
    found: list[str] = []
    if "response" in expect:
        pattern, response = expect["response"], received.response
        if pattern is not None and response is None:
            raise Violation("the daemon closed the connection without a response")
        found += differences(pattern, response, at="response")
    for stream in _STREAMS:
        if stream in expect:
            found += differences(encode(expect[stream]), bytes(received.output[stream]), at=stream)
    require_none(found)


def _require_files(expect: Mapping[str, Any], installation: Installation) -> None:
    for name in expect.get("present", ()):
        if not (installation.state / name).exists():
            raise Violation(f"the tool did not run: it left no file {name!r}")
    for name in expect.get("absent", ()):
        if (installation.state / name).exists():
            raise Violation(f"the tool ran: it left a file {name!r}")
