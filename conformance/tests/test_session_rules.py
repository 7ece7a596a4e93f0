"""Rules that span the messages of a session, for both sides."""

import json
from typing import Any

import pytest

from airlock_conformance.checks import Checks, list_checks
from airlock_conformance.from_shim import FromShim
from airlock_conformance.received import Received
from airlock_conformance.session_rules import Asked
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
RESULT = line(id=1, result={"exit_code": 0})
ALL = Asked(
    features=frozenset({"base64", "stdin", "signals", "tty", "exit-signal", "env", "fds"}),
    runs=True,
    has_terminal=True,
    descriptors=3,
)


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
