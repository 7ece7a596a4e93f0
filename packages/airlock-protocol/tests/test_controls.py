"""Clients' lines while their command runs."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire import Resize
from airlock_wire.controls import Control, Stdin, decode_control
from airlock_wire.error_object import ErrorObject
from airlock_wire.members import Fault

ALL = frozenset({"stdin", "signals", "tty"})
SIGNALS = ("SIGINT", "SIGTERM", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2", "SIGWINCH")


def notify(method: object, params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def decode(message: object, features: frozenset[str] = ALL) -> Control | None:
    line = message if isinstance(message, bytes) else json.dumps(message).encode()
    return decode_control(line, features=features)


def refuse(message: object) -> ErrorObject:
    with pytest.raises(Fault) as caught:
        decode(message)
    return caught.value.error


def outcome(line: bytes) -> Control | ErrorObject | None:
    try:
        return decode(line)
    except Fault as fault:
        return fault.error


@pytest.mark.parametrize(
    ("params", "stdin"),
    [
        ({"data": "", "encoding": "base64"}, Stdin(data=b"", is_last=False)),
        ({"eof": True, "data": None, "encoding": "base64"}, Stdin(data=b"", is_last=True)),
        ({"eof": None, "data": "x", "more": 1}, Stdin(data=b"x", is_last=False)),
    ],
)
def test_stdin_is_read(params: object, stdin: Stdin) -> None:
    """No data is given in several forms, and null is like nothing."""
    assert decode(notify("stdin", params)) == stdin


@pytest.mark.parametrize("size", [0, 1, 50, 65535])
def test_sizes_are_read(size: int) -> None:
    """The range is the kernel's."""
    assert decode(notify("resize", {"rows": size, "cols": 7})) == Resize(rows=size, cols=7)


@pytest.mark.parametrize(
    ("message", "path"),
    [
        (notify("stdin", []), "params"),
        (notify("stdin", {"eof": False}), "params"),
        (notify("stdin", {"eof": None, "data": None}), "params"),
        (notify("stdin", {"encoding": "base64"}), "params"),
        (notify("stdin", {"data": {"base64": "/w=="}}), "params.data"),
        (notify("stdin", {"data": "/w==\n", "encoding": "base64"}), "params.data"),
        (notify("stdin", {"data": "é", "encoding": "base64"}), "params.data"),
        (notify("stdin", {"data": "x", "encoding": 64}), "params.encoding"),
        (notify("stdin", {"data": "x", "eof": 1}), "params.eof"),
        *((notify("signal", {"name": name}), "params.name") for name in (None, "\0\x1b[2J")),
        *(
            (notify("resize", {"rows": rows, "cols": 1}), "params.rows")
            for rows in (1.0, True, None, 10**40)
        ),
    ],
)
def test_a_faulty_member_is_named(message: object, path: str) -> None:
    """The error names it on one line, without control characters."""
    error = refuse(message)
    assert error.code == -32602
    assert error.data is not None
    assert (error.data.kind, error.data.path) == ("invalid-params", path)
    assert error.message.startswith(path + " ")
    assert error.message.isprintable()


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"", -32700),
        (b'{"x":"\\ud800"}', -32700),
        (b'{"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", -32700),
        (b'{"jsonrpc":2.0,"method":"stdin","params":{"data":"x"}}', -32600),
        (b'{"jsonrpc":"2.0","id":1,"result":{}}', -32600),
    ],
)
@pytest.mark.parametrize("features", [ALL, frozenset({"base64"})])
def test_what_is_no_message_is_refused(line: bytes, code: int, features: frozenset[str]) -> None:
    """A client that sends no valid message gets an error, whatever features are in use."""
    with pytest.raises(Fault) as caught:
        decode(line, features)
    assert caught.value.error.code == code


VALUES: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.text(max_size=4) | st.just([]) | st.just({})
)
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "data": st.sampled_from(["", "x", "/w==", "é"]) | VALUES,
        "encoding": st.just("base64") | VALUES,
        "eof": st.booleans() | VALUES,
        "name": st.sampled_from(SIGNALS) | VALUES,
        "rows": st.integers(0, 65535) | VALUES,
        "cols": st.integers(0, 65535) | VALUES,
    },
)
MESSAGES = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | VALUES,
        "method": st.sampled_from(["stdin", "signal", "resize"]) | VALUES,
        "params": PARAMS | VALUES,
        "id": VALUES,
    },
)


@given(message=MESSAGES.filter(lambda message: "params" in message))
def test_params_that_come_first_and_are_no_object_do_not_count(message: dict[str, Any]) -> None:
    """Whatever the last ones are, they are read as if they were alone."""
    line = json.dumps(message)
    twice = line.replace("{", '{"params": 0, ', 1)
    assert outcome(twice.encode()) == outcome(line.encode())
