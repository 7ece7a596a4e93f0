"""The shim's errors for invalid messages: they name the broken rule."""

import re

import pytest

from fake_daemons import FakeDaemon
from fake_messages import encode, result, start_message

_LONG = "x" * (5 << 20)
_ENCODED = start_message("base64")


def _output(**params: object) -> bytes:
    return encode({"jsonrpc": "2.0", "method": "output", "params": params})


def _response(**members: object) -> bytes:
    return encode({"jsonrpc": "2.0", "id": 1, **members})


PROBLEMS = {
    "a message is no JSON object": b"hello\n",
    "a message is no output, no result and no error": b"{}\n",
    "a message is followed by something else on its line": start_message()[:-1] + b"{}\n",
    "a member of an object does not end in , or }": b'{"a":1 "b":2}\n',
    "the name of a member is not followed by :": b'{"a" 1}\n',
    "an element of an array does not end in , or ]": b'{"a":[1 2]}\n',
    "something stands where a string belongs": b"{a}\n",
    "something stands where an integer belongs": _response(result={"exit_code": "0"}),
    "something stands where a value belongs": b'{"a":}\n',
    "a string holds a control character or an unknown escape": b'{"a":"\\q"}\n',
    "an unknown word": b'{"a":nul}\n',
    "a value nests too deep": b'{"a":' + b"[" * 100 + b"]" * 100 + b"}\n",
    "an exit status is not between 0 and 255": result(256),
    "a result has no exit_code": _response(result={}),
    "an error has no code": _response(error={}),
    "an output message has no data": _output(stream="stdout"),
    "output of an unknown stream": _output(stream="log", data="x"),
    "more than 4 MiB of output comes before the name of its stream": _output(
        data=_LONG, stream="stdout"
    ),
    "output has an unknown encoding": _ENCODED
    + _output(stream="stdout", encoding="base32", data="x"),
    "output that should be base64 is not": _ENCODED
    + _output(stream="stdout", encoding="base64", data="?"),
    "more than 4 MiB of output comes before its encoding": _ENCODED
    + _output(stream="stdout", data=_LONG, encoding="base64"),
}


@pytest.mark.parametrize("problem", PROBLEMS)
def test_a_problem_of_the_protocol_is_named(daemon: FakeDaemon, problem: str) -> None:
    """Whoever writes a daemon reads what is wrong with it, and no command is taken to have run."""
    ended = daemon.answer(PROBLEMS[problem])
    assert ended.status == 125
    told = re.escape(f"airlock: what answers at {daemon.path} does not speak Airlock's protocol: ")
    assert re.match(rf"{told}{re.escape(problem)}\n", ended.stderr)
    assert "is this the socket of an Airlock daemon? The command may have run\n" in ended.stderr
