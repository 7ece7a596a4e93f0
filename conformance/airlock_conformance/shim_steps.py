"""The steps of a shim's case: what the daemon does, and what happens to the shim meanwhile."""

import os
from collections.abc import Mapping
from typing import Any

from airlock_conformance.content import encode
from airlock_conformance.fake_daemon import FakeDaemon, read_descriptor, write_descriptor
from airlock_conformance.from_shim import kind_of
from airlock_conformance.matching import brief, differences
from airlock_conformance.shim_process import ShimProcess
from airlock_conformance.shim_streams import ShimStreams
from airlock_conformance.violation import require_none


def take_step(
    daemon: FakeDaemon,
    shim: ShimProcess,
    streams: ShimStreams,
    action: str,
    value: Any,
    *,
    patience: float,
) -> None:
    """Take one step; raises `Violation` where the shim does not do its part of it."""
    if not (
        _serve(daemon, action, value)
        or _await_messages(daemon, action, value)
        or _use_descriptors(daemon, action, value, patience=patience)
        or _disturb(shim, streams, action, value)
    ):
        raise ValueError(f"{action} is no step of a shim case")


def _serve(daemon: FakeDaemon, action: str, value: Any) -> bool:
    match action:
        case "receive_request":
            daemon.receive_request(value)
        case "receive_bytes":
            daemon.receive_bytes(value)
        case "send":
            daemon.send(encode(value))
        case "send_each_byte":
            daemon.send_each_byte(encode(value))
        case "send_until_closed":
            daemon.send_until_closed(encode(value))
        case "close":
            daemon.close()
        case "await_close":
            daemon.await_close()
        case _:
            return False
    return True


def _await_messages(daemon: FakeDaemon, action: str, value: Any) -> bool:
    match action:
        case "take_stdin":
            daemon.take_stdin(grant=value["grant"])
        case "await_stdin":
            data = encode(value)
            daemon.await_message(lambda shim: shim.stdin == data, f"stdin {brief(data)}")
        case "await_stdin_end":
            data = encode(value)
            daemon.await_message(
                lambda shim: shim.eof and shim.stdin == data,
                f"the end of stdin after {brief(data)}",
            )
        case "await_signals":
            daemon.await_message(lambda shim: shim.signals == value, f"the signals {value}")
        case "await_resize":
            daemon.await_message(lambda shim: shim.resizes[-1:] == [value], f"a resize to {value}")
        case _:
            return False
    return True


def _use_descriptors(daemon: FakeDaemon, action: str, value: Any, *, patience: float) -> bool:
    match action:
        case "expect_descriptors":
            require_none(_descriptor_differences(daemon, value))
        case "write_descriptor":
            write_descriptor(daemon, value["number"], encode(value["data"]))
        case "read_descriptor":
            data = encode(value["data"])
            size = None if value.get("to_the_end") else len(data)
            found = read_descriptor(daemon, value["number"], size, patience=patience)
            require_none(differences(data, found, at=f"descriptor {value['number']}"))
        case "close_descriptors":
            daemon.close_descriptors(value)
        case _:
            return False
    return True


def _disturb(shim: ShimProcess, streams: ShimStreams, action: str, value: Any) -> bool:
    match action:
        case "await_stdout":
            shim.await_output("stdout", encode(value))
        case "await_terminal":
            shim.await_output("terminal", encode(value))
        case "await_raw":
            terminal = streams.terminal
            assert terminal is not None, "await_raw is for cases with a terminal"
            shim.await_that(terminal.is_raw, "a terminal in raw mode")
        case "resize_terminal":
            assert streams.terminal is not None, "resize_terminal is for cases with a terminal"
            streams.terminal.resize(**value)
        case "write_stdin":
            streams.write_stdin(encode(value))
        case "close_stdin":
            streams.close_stdin()
        case "close_stdout":
            streams.close_stdout()
        case "signal":
            shim.send_signal(value)
        case _:
            return False
    return True


def _descriptor_differences(daemon: FakeDaemon, expected: Mapping[str, Any]) -> list[str]:
    kinds = [kind_of(descriptor) for descriptor in daemon.descriptors]
    found = differences(expected["kinds"], kinds, at="descriptors")
    for first, second in expected.get("same", ()):
        states = [os.fstat(daemon.descriptors[number]) for number in (first, second)]
        if len({(state.st_dev, state.st_ino) for state in states}) != 1:
            found.append(f"descriptors {first} and {second} must be one object")
    return found
