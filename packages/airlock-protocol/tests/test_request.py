"""The request as everyone after the parser sees it."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airlock_wire import Limits, LocalProtocolError, Request, Terminal
from airlock_wire.decoding import Accepted, decode_request

WORDS = st.binary(max_size=8).map(
    lambda data: data.replace(b"\0", b"").decode("utf-8", "surrogateescape")
)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8)
VARIABLES = st.text(
    st.characters(exclude_characters="\0=", exclude_categories=["Cs"]), min_size=1, max_size=8
)
TERMINALS = st.builds(
    Terminal,
    stdin=st.booleans(),
    stdout=st.booleans(),
    stderr=st.booleans(),
    rows=st.integers(0, 65535),
    cols=st.integers(0, 65535),
    term=st.none() | st.from_regex(r"[A-Za-z0-9+._-]{1,64}", fullmatch=True),
)
REQUESTS = st.builds(
    Request,
    id=st.text(st.characters(exclude_categories=["Cs"]))
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False),
    method=st.sampled_from(["exec", "check"]),
    command=NAMES,
    args=st.lists(WORDS, max_size=4).map(tuple),
    cwd=st.none() | WORDS,
    container_id=st.none() | NAMES,
    features=st.none() | st.lists(NAMES, max_size=2).map(tuple),
    terminal=st.none() | TERMINALS,
    env=st.dictionaries(VARIABLES, WORDS, max_size=3),
)


@given(request_=REQUESTS)
def test_a_request_survives_encoding(request_: Request) -> None:
    """What is encoded is one line, and is read as the same request."""
    line = request_.encode()
    assert line.count(b"\n") == 1
    decoded = decode_request(line[:-1], limits=Limits())
    assert isinstance(decoded, Accepted)
    assert decoded.request == request_


def test_members_without_value_are_null_or_left_out() -> None:
    """The base request has `cwd` and `container_id`, and nothing that belongs to features."""
    request = Request(id=1, method="exec", command="git", args=("é", "\udcff"))
    assert json.loads(request.encode()) == {
        "jsonrpc": "2.0",
        "id": 1,
        "method": "exec",
        "params": {
            "command": "git",
            "args": ["é", {"base64": "/w=="}],
            "cwd": None,
            "container_id": None,
        },
    }


def test_a_list_of_no_features_is_sent() -> None:
    """It asks for a start, as no list at all does not."""
    request = Request(id=1, method="exec", command="git", args=(), features=())
    assert json.loads(request.encode())["params"]["features"] == []


def test_terminal_and_variables_have_their_own_members() -> None:
    """An absent `term` is omitted, and values that are not UTF-8 are sent in base64."""
    terminal = Terminal(stdin=False, stdout=True, stderr=False, rows=0, cols=65535)
    request = Request(
        id=1, method="exec", command="git", args=(), terminal=terminal, env={"é": "", "X": "\udcff"}
    )
    params = json.loads(request.encode())["params"]
    assert params["tty"] == {
        "stdin": False,
        "stdout": True,
        "stderr": False,
        "rows": 0,
        "cols": 65535,
    }
    assert params["env"] == {"é": "", "X": {"base64": "/w=="}}


def test_duplicates_do_not_survive_encoding() -> None:
    """Those who are handed the encoded request see one reading of it alone."""
    line = Request(id=1, method="exec", command="git", args=()).encode()
    twice = line.replace(b'"command"', b'"command":"rm","command"')
    decoded = decode_request(twice.strip(), limits=Limits())
    assert isinstance(decoded, Accepted)
    assert decoded.request.encode().count(b'"command"') == 1
    assert b"rm" not in decoded.request.encode()


def test_a_name_that_is_no_text_cannot_be_encoded() -> None:
    """Neither a command nor the name of a variable has a base64 form."""
    with pytest.raises(LocalProtocolError):
        Request(id=1, method="exec", command="\udcff", args=()).encode()
    with pytest.raises(LocalProtocolError):
        Request(id=1, method="exec", command="git", args=(), env={"\udcff": ""}).encode()
