"""A client's line as a request, or as its first fault."""

import json
from typing import Any, Final
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire import ErrorObject, Limits, Request, Terminal, decoding
from airlock_wire.decoding import Accepted, Refused, decode_request

LIMITS: Final = Limits(arguments=5)
GOOD: Final = {
    "jsonrpc": "2.0",
    "id": 1,
    "method": "exec",
    "params": {"command": "git", "args": []},
}
TTY: Final[dict[str, Any]] = {
    "stdin": True,
    "stdout": False,
    "stderr": True,
    "rows": 24,
    "cols": 80,
}


def with_params(**params: Any) -> str:
    """A valid request, except for these members of its params."""
    return json.dumps(GOOD | {"params": {"command": "git", "args": []} | params})


def decode(line: str | bytes) -> Accepted | Refused:
    """Decode a line; a string may have any surrogates."""
    data = line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")
    return decode_request(data, limits=LIMITS)


def accept(line: str | bytes) -> Request:
    decoded = decode(line)
    assert isinstance(decoded, Accepted), decoded
    return decoded.request


def test_a_whole_request_is_read() -> None:
    """Every member is decoded."""
    line = with_params(
        args=["push", ""],
        cwd="/w",
        container_id="ab",
        features=["x"],
        tty=TTY | {"term": "xterm-256color", "more": 1},
        env={"LANG": "C.UTF-8", "X": {"base64": "/w=="}, "EMPTY": ""},
        more=1,
    )
    assert accept(line) == Request(
        id=1,
        method="exec",
        command="git",
        args=("push", ""),
        cwd="/w",
        container_id="ab",
        features=("x",),
        terminal=Terminal(
            stdin=True, stdout=False, stderr=True, rows=24, cols=80, term="xterm-256color"
        ),
        env={"LANG": "C.UTF-8", "X": "\udcff", "EMPTY": ""},
    )


@pytest.mark.parametrize("term", [{}, {"term": None}])
def test_a_terminal_need_not_say_its_kind(term: dict[str, None]) -> None:
    """Absent and null mean that the client does not know."""
    assert accept(with_params(tty=TTY | term)).terminal == Terminal(**TTY)


def test_the_last_of_two_variables_counts() -> None:
    """So does the last of two terminals."""
    line = with_params(env={"A": "2"}, tty=TTY)
    line = line.replace('{"A"', '{"A": 1, "A"').replace('"tty"', '"tty": 5, "tty"')
    request = accept(line)
    assert (request.env, request.terminal) == ({"A": "2"}, Terminal(**TTY))


@pytest.mark.parametrize(
    "line",
    [
        json.dumps(GOOD).replace('"method"', r'"m\u0065thod"'),
        json.dumps(GOOD).replace('"params"', '"params": [], "params"'),
        json.dumps(GOOD)[:-1] + ', "big": 1e999}',
    ],
)
def test_what_json_leaves_open_is_accepted(line: str) -> None:
    """Escapes in names, the last of two params, and numbers of members that are unknown."""
    assert accept(line) == Request(id=1, method="exec", command="git", args=())


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ("1.0", 1.0),
        ("1e2", 100.0),
        ("0.1000000000000000055", 0.1),
        ("123456789012345678901234567890", 123456789012345678901234567890),
    ],
)
def test_an_id_is_kept_as_it_was_sent(sent: str, value: str | float) -> None:
    """The bytes of the id are kept beside its value."""
    decoded = decode(json.dumps(GOOD).replace('"id": 1', f'"id": {sent}'))
    assert isinstance(decoded, Accepted)
    assert decoded.id == sent.encode()
    assert decoded.request.id == value


def test_an_escaped_backslash_before_u0000_is_no_nul() -> None:
    r"""The six characters \u0000 may be an argument."""
    assert accept(with_params(args=[r"\u0000"])).args == (r"\u0000",)


ODD = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3)
    ),
    max_leaves=5,
)
TEXTS = st.text(max_size=4) | st.fixed_dictionaries(
    {"base64": st.sampled_from(["YQ==", "/w==", "?"])}
)
TERMINALS: dict[str, st.SearchStrategy[object]] = {
    **dict.fromkeys(("stdin", "stdout", "stderr"), st.booleans() | ODD),
    **dict.fromkeys(("rows", "cols"), st.integers(-1, 65536) | ODD),
    "term": st.sampled_from(["xterm", "a b", "", None]) | ODD,
}
PARAMS = st.fixed_dictionaries(
    {},
    optional={
        "command": st.text(max_size=4) | ODD,
        "args": st.lists(TEXTS, max_size=7) | st.lists(TEXTS | ODD, max_size=3) | ODD,
        "cwd": TEXTS | ODD,
        "container_id": st.text(max_size=3) | ODD,
        "features": st.lists(st.text(max_size=3), max_size=2) | ODD,
        "tty": st.fixed_dictionaries({}, optional=TERMINALS) | ODD,
        "env": st.dictionaries(st.sampled_from(["A", "", "B=", "C\0"]), TEXTS | ODD) | ODD,
        "other": ODD,
    },
)
REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "jsonrpc": st.just("2.0") | ODD,
        "id": st.integers() | st.text(max_size=3) | ODD,
        "method": st.sampled_from(["exec", "check"]) | ODD,
        "params": PARAMS | ODD,
        "other": ODD,
    },
)


@given(line=REQUESTS.map(json.dumps), position=st.integers(0, 400), byte=st.binary(max_size=2))
def test_damaged_requests_are_refused_or_read(line: str, position: int, byte: bytes) -> None:
    """A good line with a damaged place never does anything but one of the two.

    What is decoded in one go is what its members say one by one.
    """
    data = line.encode()
    damaged = data[:position] + byte + data[position + 1 :]
    decoded = decode_request(damaged, limits=LIMITS)
    with patch.object(decoding, "_read_plain", return_value=None):
        assert decode_request(damaged, limits=LIMITS) == decoded


_PLAIN = '"command": "a", "args": []'
_TERMINAL = '"stdin": true, "stdout": true, "stderr": false, "rows": 1.0, "cols": 7'


@pytest.mark.parametrize("number", ["1", "1.0", "1e400", '"x"', "null", "[1]"])
@pytest.mark.parametrize(
    "params",
    [
        f"{{{_PLAIN}}}",
        '{"command": "a\x00b", "args": []}',
        '{"command": "a\\u0000b", "args": []}',
        '{"command": "a", "args": ["\\ud800"]}',
        '{"command": "a", "args": ["1", "2", "3", "4", "5", "6"]}',
        '{"command": "a", "command": "b", "args": [1], "args": []}',
        f'{{{_PLAIN}, "features": null}}',
        f'{{{_PLAIN}, "tty": null}}',
        f'{{{_PLAIN}, "tty": {{{_TERMINAL}, "term": "x y"}}}}',
        f'{{{_PLAIN}, "tty": {{{_TERMINAL}, "term": "xterm", "more": [1]}}}}',
        f'{{{_PLAIN}, "env": {{"": "x"}}}}',
        f'{{{_PLAIN}, "env": {{"a=": "x"}}}}',
        f'{{{_PLAIN}, "env": {{"a": "x", "a": "y"}}}}',
        f'{{{_PLAIN}}}, "params": [1]',
    ],
)
def test_a_request_in_one_go_is_that_of_its_members(number: str, params: str) -> None:
    """Both ways of decoding agree on unusual requests."""
    line = f'{{"jsonrpc": "2.0", "id": {number}, "method": "exec", "params": {params}}}'.encode()
    decoded = decode_request(line, limits=LIMITS)
    with patch.object(decoding, "_read_plain", return_value=None):
        assert decode_request(line, limits=LIMITS) == decoded


@pytest.mark.parametrize("depth", range(300, 1000, 7))
def test_nesting_near_what_can_be_parsed_is_answered(depth: int) -> None:
    """No depth passes one stage of decoding but breaks the next."""
    deep = "[" * depth + "]" * depth
    for line in (
        json.dumps(GOOD)[:-1] + f', "deep": {deep}}}',
        json.dumps(GOOD).replace('"id": 1', f'"id": {deep}'),
        json.dumps(GOOD).replace('"args": []', f'"args": {deep}'),
        json.dumps(GOOD).replace('"args": []', f'"args": [{{"base64": 5, "x": {deep}}}]'),
    ):
        decode(line)


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
