"""Lines of clients: good ones, and one refusal for each thing that can be wrong."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire import Limits, Request, Terminal
from airlock_wire.classification import Accepted, Refused, examine
from airlock_wire.decoding import _decode_good, decode_request

LIMITS = Limits(arguments=5)
GOOD = {"jsonrpc": "2.0", "id": 1, "method": "exec", "params": {"command": "git", "args": []}}
TTY: dict[str, Any] = {"stdin": True, "stdout": False, "stderr": True, "rows": 24, "cols": 80}

BAD_IDS: tuple[object, ...] = (None, True, False, {}, [], [1])


def decode(line: str | bytes) -> Accepted | Refused:
    data = line if isinstance(line, bytes) else line.encode("utf-8", "surrogatepass")
    return decode_request(data, limits=LIMITS)


def accept(line: str | bytes) -> Request:
    decoded = decode(line)
    assert isinstance(decoded, Accepted), decoded
    return decoded.request


def refuse(line: str | bytes) -> tuple[int, str, Any]:
    decoded = decode(line)
    assert isinstance(decoded, Refused), decoded
    assert decoded.error.data is not None
    return decoded.error.code, decoded.error.data.kind, json.loads(decoded.id)


def with_params(**params: Any) -> str:
    return json.dumps(GOOD | {"params": {"command": "git", "args": []} | params})


def test_a_whole_request_is_read() -> None:
    """Every member arrives where it belongs."""
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


@pytest.mark.parametrize("optional", [{}, {"cwd": None, "container_id": None}])
def test_optional_members_may_be_absent_or_null(optional: dict[str, Any]) -> None:
    """Null and absent mean the same for `cwd` and `container_id`."""
    request = accept(with_params(**optional))
    assert (request.cwd, request.container_id, request.features) == (None, None, None)
    assert (request.terminal, request.env) == (None, {})


def test_a_request_with_everything_is_read_the_fast_way() -> None:
    """Terminal and variables do not send a good request the long way round."""
    line = with_params(
        cwd={"base64": "/w=="},
        features=["env", "tty"],
        tty=TTY | {"term": "xterm"},
        env={"A": "b", "C": {"base64": "/w=="}},
    )
    assert _decode_good(line, LIMITS) == examine(line, limits=LIMITS)


def test_an_empty_list_of_features_is_no_absent_one() -> None:
    """A client that sends one awaits a start."""
    assert accept(with_params(features=[])).features == ()


@pytest.mark.parametrize("term", [{}, {"term": None}])
def test_a_terminal_need_not_say_its_kind(term: dict[str, None]) -> None:
    """Absent and null mean that the client does not know."""
    assert accept(with_params(tty=TTY | term)).terminal == Terminal(**TTY)


def test_the_last_of_two_variables_counts() -> None:
    """So does it of two terminals."""
    line = with_params(env={"A": "2"}, tty=TTY)
    line = line.replace('{"A"', '{"A": 1, "A"').replace('"tty"', '"tty": 5, "tty"')
    request = accept(line)
    assert (request.env, request.terminal) == ({"A": "2"}, Terminal(**TTY))


def test_text_that_is_not_utf8_is_read_from_base64() -> None:
    """Such text has the form of os.fsdecode, and base64 of UTF-8 is the text itself."""
    line = with_params(
        args=[{"base64": "Y2Fm6Q=="}, {"base64": "w6k=", "x": 1}], cwd={"base64": "/w=="}
    )
    request = accept(line)
    assert request.args == ("caf\udce9", "é")
    assert request.cwd == "\udcff"


@pytest.mark.parametrize(
    "line",
    [
        json.dumps(GOOD) + "\r",
        " \t" + json.dumps(GOOD, indent=1).replace("\n", " ") + " ",
        json.dumps(GOOD | {"unknown": {"a": [1, None]}}),
        json.dumps(dict(reversed(GOOD.items()))),
        json.dumps(GOOD).replace('"method"', r'"m\u0065thod"'),
        json.dumps(GOOD).replace('"id": 1', '"id": {}, "id": 1'),
        json.dumps(GOOD).replace('"git"', '5, "command": "git"'),
        json.dumps(GOOD).replace('"exec"', '"nonsense", "method": "exec"'),
        json.dumps(GOOD).replace('"params"', '"params": [], "params"'),
        json.dumps(GOOD)[:-1] + ', "big": 1e999}',
        json.dumps(GOOD)[:-1] + ', "deep": ' + "[" * 60 + "]" * 60 + "}",
    ],
)
def test_what_json_leaves_open_is_accepted(line: str) -> None:
    """White space, order, escapes, unknown members and duplicates, whose last one counts."""
    assert accept(line) == Request(id=1, method="exec", command="git", args=())


@pytest.mark.parametrize(
    ("sent", "value"),
    [
        ("0", 0),
        ("-7", -7),
        ("1.0", 1.0),
        ("1e2", 100.0),
        ("0.1000000000000000055", 0.1),
        ("123456789012345678901234567890", 123456789012345678901234567890),
        ('""', ""),
        (r'"a\u00e9\n"', "aé\n"),
        ('"日本"', "日本"),
    ],
)
def test_an_id_is_kept_as_it_was_sent(sent: str, value: str | float) -> None:
    """The bytes of the id are kept beside its value."""
    decoded = decode(json.dumps(GOOD).replace('"id": 1', f'"id": {sent}'))
    assert isinstance(decoded, Accepted)
    assert decoded.id == sent.encode()
    assert decoded.request.id == value


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
    assert refuse(line) == (-32700, "parse-error", None)


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
    """The id is echoed where there is one."""
    assert refuse(line) == (-32600, "invalid-request", request_id)


@pytest.mark.parametrize("method", ["", "EXEC", "exec ", "output", "start"])
def test_an_unknown_method_has_a_code_of_its_own(method: str) -> None:
    """It is looked at before `params`."""
    line = json.dumps(GOOD | {"method": method, "params": None})
    assert refuse(line) == (-32601, "unknown-method", 1)


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
        (with_params(env={"A\0": "x"}), 'params.env["A\\x00"]'),
        (with_params(env={"A\n\u202e": 5}), 'params.env["A\\n\\u202e"]'),
    ],
)
def test_a_faulty_member_is_named(line: str, path: str) -> None:
    """The path says which member of `params` is missing, of the wrong type or holds a NUL."""
    decoded = decode(line)
    assert isinstance(decoded, Refused)
    assert decoded.error.code == -32602
    assert decoded.error.data is not None
    assert (decoded.error.data.kind, decoded.error.data.path) == ("invalid-params", path)
    assert decoded.error.message.startswith(path + " ")
    assert decoded.id == b"1"


@pytest.mark.parametrize("argument", ["a", "\0", 5, {"base64": "YQ=="}])
def test_too_many_arguments_are_denied_by_a_limit(argument: object) -> None:
    """Whatever the arguments are, their number decides first."""
    accept(with_params(args=["a"] * 5))
    decoded = decode(with_params(args=[argument] * 6))
    assert isinstance(decoded, Refused)
    assert decoded.error.code == -32600
    assert decoded.error.data is not None
    data = decoded.error.data
    assert (data.kind, data.layer, data.rule) == ("denied", "limit", "arguments")
    assert decoded.id == b"1"


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


@given(message=REQUESTS)
def test_the_fast_and_the_careful_way_agree(message: dict[str, Any]) -> None:
    """Whatever the fast way accepts or refuses, the careful way accepts or refuses alike."""
    text = json.dumps(message, ensure_ascii=False)
    if any("\ud800" <= char <= "\udfff" for char in text):
        return
    fast = _decode_good(text, LIMITS)
    if fast is not None:
        assert fast == examine(text, limits=LIMITS)


@given(data=st.binary() | REQUESTS.map(lambda message: json.dumps(message).encode()))
def test_no_bytes_make_decoding_fail_otherwise(data: bytes) -> None:
    """Every line is a request or a refusal with an id that can be echoed."""
    decoded = decode_request(data, limits=LIMITS)
    assert isinstance(json.loads(decoded.id), str | int | float | None)


@given(line=REQUESTS.map(json.dumps), position=st.integers(0, 400), byte=st.binary(max_size=2))
def test_damaged_requests_are_refused_or_read(line: str, position: int, byte: bytes) -> None:
    """A good line with a damaged place never does anything but one of the two."""
    data = line.encode()
    decode_request(data[:position] + byte + data[position + 1 :], limits=LIMITS)


@pytest.mark.parametrize("depth", range(300, 1000, 7))
def test_nesting_near_what_can_be_parsed_is_answered(depth: int) -> None:
    """No depth lies between what one stage can open and what the next one cannot."""
    deep = "[" * depth + "]" * depth
    for line in (
        json.dumps(GOOD)[:-1] + f', "deep": {deep}}}',
        json.dumps(GOOD).replace('"id": 1', f'"id": {deep}'),
        json.dumps(GOOD).replace('"args": []', f'"args": {deep}'),
        json.dumps(GOOD).replace('"args": []', f'"args": [{{"base64": 5, "x": {deep}}}]'),
    ):
        decode(line)
