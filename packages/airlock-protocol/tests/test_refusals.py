"""Refusals of faulty requests, beside those of the conformance suite."""

import json
from typing import Any

import pytest

from airlock_wire import ErrorObject
from airlock_wire.decoding import Accepted, Refused
from client_lines import GOOD, TTY, decode, with_params


def refuse(line: str | bytes) -> tuple[ErrorObject, Any]:
    decoded = decode(line)
    assert isinstance(decoded, Refused), decoded
    return decoded.error, json.loads(decoded.id)


def classify(line: str | bytes) -> tuple[int, str, Any]:
    error, request_id = refuse(line)
    assert error.data is not None
    return error.code, error.data.kind, request_id


@pytest.mark.parametrize(
    "line",
    [
        b" ",
        json.dumps(GOOD).replace('"git"', "Infinity").encode(),
        json.dumps(GOOD).replace("git", r"\udc80").encode(),
        json.dumps(GOOD)[:-1].encode() + b', "unknown": "\xff"}',
        json.dumps(GOOD)[:-1].encode() + rb', "unknown": "\ud800"}',
        json.dumps(GOOD)[:-1].encode() + b', "unknown": 01}',
        json.dumps(GOOD)[:-1].encode() + b', "deep": ' + b"[" * 99_999 + b"]" * 99_999 + b"}",
        b'{"params":{"args":[' + b"[" * 100_000,
        b'{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_json_is_a_parse_error(line: bytes) -> None:
    """The id is null, because nothing of such a line can be trusted."""
    assert classify(line) == (-32700, "parse-error", None)


@pytest.mark.parametrize("number", ["1e999", "9" * 5000])
def test_an_id_that_no_number_can_be_is_none(number: str) -> None:
    """The JSON is valid, and the request is not."""
    line = json.dumps(GOOD).replace('"id": 1', f'"id": {number}')
    assert classify(line) == (-32600, "invalid-request", None)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (with_params(cwd={"base64": "?"}), "params.cwd"),
        (with_params(container_id="\0"), "params.container_id"),
        (with_params(features=None), "params.features"),
        (with_params(features=["\0"]), "params.features[0]"),
        (with_params(tty=None), "params.tty"),
        *(
            (with_params(tty=TTY | {name: bad}), f"params.tty.{name}")
            for name in ("rows", "cols")
            for bad in (True, None, 10**30)
        ),
        *(
            (with_params(tty=TTY | {"term": bad}), "params.tty.term")
            for bad in ("a b", "é", "\0", ["xterm"])
        ),
        (with_params(env=None), "params.env"),
        (with_params(env={"A": "b", "C": "\0"}), 'params.env["C"]'),
        (with_params(env={"A\0": "x"}), 'params.env["A\\u{0}"]'),
        (with_params(env={"A\n\u202e": 5}), 'params.env["A\\n\\u{202e}"]'),
    ],
)
def test_a_faulty_member_is_named(line: str, path: str) -> None:
    """The path says which member of `params` is missing, of the wrong type or holds a NUL."""
    error, request_id = refuse(line)
    assert (error.code, request_id) == (-32602, 1)
    assert error.data is not None
    assert (error.data.kind, error.data.path) == ("invalid-params", path)
    assert error.message.startswith(path + " ")


@pytest.mark.parametrize("argument", ["a", "\0", 5, {"base64": "YQ=="}])
def test_too_many_arguments_are_denied_by_a_limit(argument: object) -> None:
    """The number of arguments is checked before the arguments."""
    assert isinstance(decode(with_params(args=["a"] * 5)), Accepted)
    error, request_id = refuse(with_params(args=[argument] * 6))
    assert (error.code, request_id) == (-32600, 1)
    assert error.data is not None
    assert (error.data.kind, error.data.layer, error.data.rule) == ("denied", "limit", "arguments")


@pytest.mark.parametrize("value", ["a", "\0", 5, {"base64": "YQ=="}])
def test_too_many_variables_and_features_are_denied_by_a_limit(value: object) -> None:
    """A request can be long, and each of them takes its time."""
    names = [f"N{number}" for number in range(10_001)]
    assert isinstance(decode(with_params(env=dict.fromkeys(names[1:], "a"))), Accepted)
    assert isinstance(decode(with_params(features=names[1:])), Accepted)
    for rule, line in {
        "variables": with_params(env=dict.fromkeys(names, value)),
        "features": with_params(features=[value] * 10_001),
    }.items():
        error, _ = refuse(line)
        assert error.message == f"the request has 10001 {rule}, and 10000 are allowed"
        assert error.data is not None
        assert (error.data.kind, error.data.layer, error.data.rule) == ("denied", "limit", rule)
