"""Errors as they travel."""

import msgspec
import pytest

from airlock_wire import ErrorObject, quote


@pytest.mark.parametrize(
    ("error", "code", "kind"),
    [
        (ErrorObject.parse_error("x"), -32700, "parse-error"),
        (ErrorObject.invalid_request("x"), -32600, "invalid-request"),
        (ErrorObject.denied("x", layer="hook"), -32600, "denied"),
        (ErrorObject.unknown_command("x"), -32601, "unknown-command"),
        (ErrorObject.unknown_method("x"), -32601, "unknown-method"),
        (ErrorObject.invalid_params("x", path="params"), -32602, "invalid-params"),
        (ErrorObject.failed("x"), -32603, "failed"),
    ],
)
def test_each_kind_has_its_code(error: ErrorObject, code: int, kind: str) -> None:
    """The table of errors, row for row."""
    assert error.data is not None
    assert (error.code, error.data.kind) == (code, kind)


def test_members_without_value_are_left_out() -> None:
    """A client sees only members with a value."""
    denied = ErrorObject.denied("no", layer="module", rule="push")
    assert msgspec.json.decode(msgspec.json.encode(denied)) == {
        "code": -32600,
        "message": "no",
        "data": {"kind": "denied", "layer": "module", "rule": "push"},
    }
    assert msgspec.json.encode(ErrorObject(1, "no")) == b'{"code":1,"message":"no"}'


def test_an_unknown_command_is_named_first() -> None:
    """Released clients print only the message, and people look for the name in it."""
    assert ErrorObject.unknown_command("kubectl").message == "unknown command: kubectl"
    assert ErrorObject.unknown_command("../say").message == "unknown command: ../say"


@pytest.mark.parametrize("name", ["a\x1b[2J", "git\u200b", "\u3164", "a" * 201, 'a"b'])
def test_a_name_that_could_mislead_is_quoted(name: str) -> None:
    """Invisible characters are escaped, in quotes."""
    assert ErrorObject.unknown_command(name).message == f"unknown command: {quote(name)}"
    assert ErrorObject.unknown_method(name).message == f"unknown method: {quote(name)}"


def test_texts_that_quote_bytes_can_be_sent() -> None:
    """A message, rule or hint with an argument that is not UTF-8 can be encoded."""
    error = ErrorObject.denied("caf\udce9", layer="module", rule="\udcff", hint="\udcfe")
    assert b"caf\xef\xbf\xbd" in msgspec.json.encode(error)
