"""Rules that span the messages of a session, for both sides."""

import json
import os
from collections.abc import Sequence
from typing import Any

import pytest

from airlock_conformance.checks import Checks, list_checks
from airlock_conformance.from_shim import FromShim
from airlock_conformance.received import Received
from airlock_conformance.session_rules import Asked, read_request
from airlock_conformance.violation import Violation


def line(**members: Any) -> bytes:
    """Return a message as it lies on the wire."""
    return json.dumps({"jsonrpc": "2.0", **members}).encode() + b"\n"


def notification(method: str, **params: Any) -> bytes:
    """Return a notification."""
    return line(method=method, params=params)


def start(*features: str, **more: Any) -> bytes:
    """Return the daemon's announcement of features."""
    return notification("start", features=features, **more)


def request(*features: str, **params: Any) -> bytes:
    """Return a request that asks for features."""
    asked = {"features": features} if features else {}
    params = {"command": "x", "args": [], **asked, **params}
    return line(id=1, method="exec", params=params)


OUTPUT = notification("output", stream="stdout", data="a")
BASE64 = notification("output", stream="stdout", encoding="base64", data="/w==")
RESULT = line(id=1, result={"exit_code": 0})
ALL = Asked(
    features=frozenset({"base64", "stdin", "signals", "tty", "exit-signal", "env", "fds"}),
    runs=True,
    has_terminal=True,
    descriptors=3,
)


def receive(asked: Asked, *lines: bytes) -> Received:
    """Return what a client with such a request makes of the lines of a daemon."""
    received = Received()
    received.asked = asked
    for item in lines:
        received.feed(item)
    received.finish()
    return received


def test_what_a_request_asks_for() -> None:
    """The features, the method and the terminal are read off the request line."""
    tty = {"stdin": False, "stdout": True, "stderr": False}
    asked = read_request(request("base64", "fds", tty=tty), descriptors=3)
    assert asked == Asked(
        features=frozenset({"base64", "fds"}), runs=True, has_terminal=True, descriptors=3
    )
    assert read_request(request(), descriptors=0) == Asked(features=None, runs=True)
    assert read_request(b"hello", descriptors=0) == Asked()


def test_a_session_with_features() -> None:
    """start, both forms of output, credit and the result are put together."""
    credit = notification("credit", bytes=3)
    received = receive(
        ALL, start("base64", "stdin", stdin_credit=4), OUTPUT, BASE64, credit, RESULT
    )
    assert received.features == ("base64", "stdin")
    assert received.output["stdout"] == b"a\xff"
    assert received.granted == 7


@pytest.mark.parametrize(
    ("asked", "lines"),
    [
        (Asked(runs=True), [start()]),
        (Asked(features=frozenset(), runs=False), [start()]),
        (ALL, [OUTPUT]),
        (ALL, [RESULT]),
        (ALL, [start(), start()]),
        (ALL, [start(), OUTPUT, start()]),
        (Asked(features=frozenset({"base64"}), runs=True), [start("signals")]),
        (Asked(features=frozenset({"tty"}), runs=True), [start("tty")]),
        (Asked(features=frozenset({"fds"}), runs=True), [start("fds")]),
        (ALL, [start("fds", "base64")]),
        (ALL, [start("stdin")]),
        (ALL, [start("signals", stdin_credit=1)]),
        (ALL, [start("stdin", stdin_credit=0)]),
        (ALL, [start("fds"), OUTPUT]),
        (ALL, [start(), BASE64]),
        (
            ALL,
            [start("base64"), notification("output", stream="stdout", encoding="base64", data="?")],
        ),
        (ALL, [start(), notification("credit", bytes=1)]),
        (ALL, [start(), line(id=1, result={"exit_code": 137, "signal": "SIGKILL"})]),
        (ALL, [start("exit-signal"), line(id=1, result={"exit_code": 7, "signal": "SIGKILL"})]),
        (ALL, [start(), line(id=1, result={"exit_code": 0, "stdin_bytes": 1})]),
        (ALL, [start(), notification("weather", data="rain")]),
    ],
)
def test_what_a_daemon_must_not_send(asked: Asked, lines: Sequence[bytes]) -> None:
    """A message that the request or the features in use do not allow fails in every case."""
    with pytest.raises(Violation):
        receive(asked, *lines)


def serve(
    *exchange: bytes, descriptors: Sequence[int] = (), features: Sequence[str] = ()
) -> FromShim:
    """Return what a daemon makes of a shim; what is no message of a shim is sent to it."""
    received = FromShim(checks=Checks())
    received.take_request(request(*features), descriptors)
    for item in exchange:
        if json.loads(item).get("method") in ("start", "credit"):
            received.note_sent(item)
        else:
            received.feed(item)
    return received


def test_a_shim_that_keeps_to_the_features() -> None:
    """stdin within the credit, signals and sizes are put together."""
    received = serve(
        start("stdin", "signals", "tty", stdin_credit=2),
        notification("stdin", data="a"),
        notification("stdin", data="/w==", encoding="base64"),
        notification("credit", bytes=1),
        notification("stdin", data="b", eof=True),
        notification("signal", name="SIGINT"),
        notification("resize", rows=1, cols=2),
        features=("stdin", "signals", "tty"),
    )
    assert received.stdin == b"a\xffb"
    assert received.eof
    assert received.signals == ["SIGINT"]
    assert received.resizes == [{"rows": 1, "cols": 2}]


@pytest.mark.parametrize(
    "exchange",
    [
        [notification("stdin", data="a")],
        [start(), notification("stdin", eof=True)],
        [start("signals"), notification("signal", name="SIGKILL")],
        [start("stdin", stdin_credit=1), notification("stdin", data="ab")],
        [
            start("stdin", stdin_credit=9),
            notification("stdin", eof=True),
            notification("stdin", data="a"),
        ],
        [start("stdin", stdin_credit=9), notification("stdin")],
        [start("stdin", stdin_credit=9), notification("signal", name="SIGINT")],
        [start("stdin", stdin_credit=9), notification("weather")],
        [start("stdin", stdin_credit=9), request()],
    ],
)
def test_what_a_shim_must_not_send(exchange: Sequence[bytes]) -> None:
    """A message before start, or that the features in use do not allow, fails in every case."""
    with pytest.raises(Violation):
        serve(*exchange, features=("stdin", "signals"))


def test_descriptors_that_a_shim_may_pass() -> None:
    """Three pipes or /dev/null are in order where fds is asked for, and nothing else is."""
    ours = [*os.pipe(), os.open(os.devnull, os.O_RDWR), os.open("/dev/zero", os.O_RDWR)]
    try:
        serve(descriptors=ours[:3], features=("fds",))
        for descriptors, features in ((ours[:3], ()), (ours[:2], ("fds",)), (ours[1:], ("fds",))):
            with pytest.raises(Violation):
                serve(descriptors=descriptors, features=features)
    finally:
        for descriptor in ours:
            os.close(descriptor)


def test_checks_are_counted() -> None:
    """A check tells how often it was made, and each fault once."""
    checks = Checks()
    checks.require("daemon-line-is-json", [])
    for _ in range(2):
        with pytest.raises(Violation, match="no JSON"):
            checks.require("daemon-line-is-json", ["no JSON"])
    assert checks.made("daemon-line-is-json") == 3
    assert checks.faults("daemon-line-is-json") == ["no JSON"]
    assert checks.made("daemon-one-response") == 0


def test_each_check_that_is_made_is_listed() -> None:
    """A session of either side makes no check that the report would not show."""
    checks, listed = Checks(), {check.id for check in list_checks()}
    received = Received(checks=checks)
    received.asked = ALL
    for item in (start("stdin", stdin_credit=1), OUTPUT, notification("credit", bytes=1), RESULT):
        received.feed(item)
    shim = FromShim(checks=checks)
    shim.take_request(request("stdin"), ())
    shim.note_sent(start("stdin", stdin_credit=1))
    shim.feed(notification("stdin", data="a"))
    assert checks.names() <= listed
    assert {"daemon-message-credit", "shim-keeps-to-its-credit"} <= checks.names()
