"""One refusal for each thing that can be wrong with a request."""

import json
from typing import Any

import pytest

from airlock_wire import ErrorObject
from airlock_wire.decoding import Accepted, Refused
from client_lines import GOOD, TTY, decode, with_params

BAD_IDS: tuple[object, ...] = (None, True, False, {}, [], [1])


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
        b"",
        b" ",
        b"{",
        b"nonsense",
        json.dumps(GOOD)[:-1].encode(),
        json.dumps(GOOD).encode() + b" x",
        json.dumps(GOOD).encode() * 2,
        b"\xef\xbb\xbf" + json.dumps(GOOD).encode(),
        json.dumps(GOOD).encode("utf-16"),
        json.dumps(GOOD).replace("git", "g\x00t").encode(),
        json.dumps(GOOD).replace("git", "g\tt").encode(),
        json.dumps(GOOD).replace('"git"', "NaN").encode(),
        json.dumps(GOOD).replace('"git"', "Infinity").encode(),
        json.dumps(GOOD).replace("git", r"\ud800").encode(),
        json.dumps(GOOD).replace("git", r"\udc80").encode(),
        json.dumps(GOOD).replace("git", "\ud800").encode("utf-8", "surrogatepass"),
        json.dumps(GOOD).encode().replace(b"git", b"\xff"),
        json.dumps(GOOD).encode().replace(b"git", b"\xc0\x80"),
        json.dumps(GOOD)[:-1].encode() + b', "unknown": "\xff"}',
        json.dumps(GOOD)[:-1].encode() + rb', "unknown": "\ud800"}',
        json.dumps(GOOD)[:-1].encode() + b', "unknown": 01}',
        json.dumps(GOOD)[:-1].encode() + b",}",
        json.dumps(GOOD)[:-1].encode() + b', "deep": ' + b"[" * 99_999 + b"]" * 99_999 + b"}",
        b"[" * 4_000_000,
        b'{"id":' * 600_000,
        b'{"params":{"args":[' + b"[" * 100_000,
        b'{"id":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    ],
)
def test_what_is_no_json_is_a_parse_error(line: bytes) -> None:
    """The id is null, because nothing of such a line can be trusted."""
    assert classify(line) == (-32700, "parse-error", None)


@pytest.mark.parametrize(
    ("line", "request_id"),
    [
        ("[]", None),
        (json.dumps([GOOD]), None),
        ("5", None),
        ("null", None),
        ('"text"', None),
        ("{}", None),
        *((json.dumps(GOOD | {"id": bad}), None) for bad in BAD_IDS),
        (json.dumps(GOOD).replace('"id": 1', '"id": 1e999'), None),
        (json.dumps(GOOD).replace('"id": 1', f'"id": {"9" * 5000}'), None),
        (json.dumps(GOOD | {"jsonrpc": "1.0"}), 1),
        (json.dumps(GOOD | {"jsonrpc": 2.0, "id": "x"}), "x"),
        (json.dumps({key: GOOD[key] for key in ("id", "method", "params")}), 1),
        (json.dumps({key: GOOD[key] for key in ("id", "jsonrpc", "params")}), 1),
        (json.dumps(GOOD | {"method": None}), 1),
        (json.dumps(GOOD | {"method": ["exec"]}), 1),
        (json.dumps({"jsonrpc": "2.0", "id": None, "method": 5}), None),
    ],
)
def test_json_that_is_no_request_is_an_invalid_request(line: str, request_id: object) -> None:
    """The id is echoed if there is one."""
    assert classify(line) == (-32600, "invalid-request", request_id)


@pytest.mark.parametrize("method", ["", "EXEC", "exec ", "output", "start"])
def test_an_unknown_method_has_a_code_of_its_own(method: str) -> None:
    """It is looked at before `params`."""
    line = json.dumps(GOOD | {"method": method, "params": None})
    assert classify(line) == (-32601, "unknown-method", 1)


@pytest.mark.parametrize(
    ("line", "path"),
    [
        (json.dumps({key: GOOD[key] for key in ("jsonrpc", "id", "method")}), "params"),
        (json.dumps(GOOD | {"params": None}), "params"),
        (json.dumps(GOOD | {"params": ["git"]}), "params"),
        (json.dumps(GOOD | {"params": {"args": []}}), "params.command"),
        (with_params(command=None), "params.command"),
        (with_params(command={"base64": "Z2l0"}), "params.command"),
        (with_params(command="g\0t"), "params.command"),
        (json.dumps(GOOD | {"params": {"command": "git"}}), "params.args"),
        (with_params(args=None), "params.args"),
        (with_params(args={}), "params.args"),
        (with_params(args="push"), "params.args"),
        (with_params(args=["a", "b", "c", 4]), "params.args[3]"),
        (with_params(args=["a", None]), "params.args[1]"),
        (with_params(args=["a", True]), "params.args[1]"),
        (with_params(args=[["a"]]), "params.args[0]"),
        (with_params(args=[{}]), "params.args[0]"),
        (with_params(args=[{"base64": 5}]), "params.args[0]"),
        (with_params(args=[{"base64": "YQ"}]), "params.args[0]"),
        (with_params(args=[{"base64": "AA=="}]), "params.args[0]"),
        (with_params(args=["a", "\0"]), "params.args[1]"),
        (with_params(cwd=5), "params.cwd"),
        (with_params(cwd={"base64": "?"}), "params.cwd"),
        (with_params(cwd="/\0"), "params.cwd"),
        (with_params(container_id=5), "params.container_id"),
        (with_params(container_id={"base64": "YQ=="}), "params.container_id"),
        (with_params(container_id="\0"), "params.container_id"),
        (with_params(features=None), "params.features"),
        (with_params(features="base64"), "params.features"),
        (with_params(features=["a", 1]), "params.features[1]"),
        (with_params(features=["\0"]), "params.features[0]"),
        (with_params(tty=None), "params.tty"),
        (with_params(tty=[]), "params.tty"),
        *(
            (with_params(tty={key: TTY[key] for key in TTY if key != name}), f"params.tty.{name}")
            for name in ("stdin", "stdout", "stderr", "rows", "cols")
        ),
        (with_params(tty=TTY | {"stdin": 1}), "params.tty.stdin"),
        (with_params(tty=TTY | {"stdout": None}), "params.tty.stdout"),
        (with_params(tty=TTY | {"stderr": "true"}), "params.tty.stderr"),
        *(
            (with_params(tty=TTY | {name: bad}), f"params.tty.{name}")
            for name in ("rows", "cols")
            for bad in (-1, 65536, 24.0, "24", True, None, 10**30)
        ),
        *(
            (with_params(tty=TTY | {"term": bad}), "params.tty.term")
            for bad in ("", "x" * 65, "a b", "xterm\n", "é", "\0", 5, ["xterm"])
        ),
        (with_params(env=None), "params.env"),
        (with_params(env=["A=b"]), "params.env"),
        (with_params(env={"A": 1}), 'params.env["A"]'),
        (with_params(env={"A": None}), 'params.env["A"]'),
        (with_params(env={"A": "b", "C": "\0"}), 'params.env["C"]'),
        (with_params(env={"A": {"base64": "?"}}), 'params.env["A"]'),
        (with_params(env={"A": {"base64": "AA=="}}), 'params.env["A"]'),
        (with_params(env={"": "x"}), 'params.env[""]'),
        (with_params(env={"A=": "x"}), 'params.env["A="]'),
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
