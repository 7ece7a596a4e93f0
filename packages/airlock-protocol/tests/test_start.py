"""The start of a command."""

import json

import pytest

from airlock_wire import FEATURES, LocalProtocolError, Request, Terminal
from airlock_wire.start import encode_start

PIPES = Terminal(stdin=False, stdout=False, stderr=False, rows=0, cols=0)
TERMINAL = Terminal(stdin=False, stdout=True, stderr=False, rows=24, cols=80)


def ask(features: tuple[str, ...] | None, terminal: Terminal | None = None) -> Request:
    return Request(
        id=1, method="exec", command="git", args=(), features=features, terminal=terminal
    )


def start(request: Request, *features: str, stdin_credit: int = 0) -> bytes:
    return encode_start(request, features=frozenset(features), stdin_credit=stdin_credit)


def test_it_lists_what_is_in_use_in_one_order() -> None:
    """The order is the protocol's, not the request's."""
    request = ask(("later", *reversed(FEATURES)), TERMINAL)
    sent = start(request, "tty", "stdin", "base64", stdin_credit=5)
    assert sent == (
        b'{"jsonrpc":"2.0","method":"start","params":'
        b'{"features":["base64","stdin","tty"],"stdin_credit":5}}\n'
    )


def test_it_may_list_nothing() -> None:
    """A client that can use features learns that none is in use."""
    for request in (ask(()), ask(FEATURES)):
        assert json.loads(start(request))["params"] == {"features": []}


@pytest.mark.parametrize(
    ("request_", "feature", "reason"),
    [
        (ask(None), "base64", "asked for no features"),
        (ask(()), "base64", "did not ask for base64"),
        (ask(("env",)), "base64", "did not ask for base64"),
        (ask(("later",)), "later", "did not ask for later"),
        (ask(("stdin",)), "stdin", "credit of at least 1"),
        (ask(("tty",)), "tty", "no terminal"),
        (ask(("tty",), PIPES), "tty", "no terminal"),
    ],
)
def test_what_cannot_be_in_use_is_not_started(request_: Request, feature: str, reason: str) -> None:
    """The daemon learns of its mistake before the client does."""
    with pytest.raises(LocalProtocolError, match=reason):
        start(request_, feature)


def test_a_conflict_is_not_started() -> None:
    """Nor is credit for a stdin that is not read."""
    with pytest.raises(LocalProtocolError, match="fds excludes base64"):
        start(ask(FEATURES), "fds", "base64")
    with pytest.raises(LocalProtocolError, match="no feature stdin"):
        start(ask(FEATURES), "base64", stdin_credit=1)
