"""Lines that are no request: each gets its error, and nothing runs."""

from functools import partial

from e2e.hostile.attack import Attack, Scene, make_family
from e2e.world.lines import make_request

_TRUE = make_request("true", request_id=1)
_DEEP = 100_000

_PARSE, _INVALID, _METHOD = -32700, -32600, -32601

# Each kind of line that is no request is a case of the conformance suite; here are those that
# are meant to do harm.
_LINES: tuple[tuple[str, bytes, int], ...] = (
    ("carriage return", b"\r\n", _PARSE),
    ("no JSON", b"GET / HTTP/1.1\n", _PARSE),
    ("number that no one can hold", _TRUE.replace(b'"id": 1', b'"id": 1e999'), _INVALID),
    ("raw NUL", b"\0" + _TRUE, _PARSE),
    ("deep arrays", b"[" * _DEEP + b"\n", _PARSE),
    ("deep arrays that end", b"[" * _DEEP + b"]" * _DEEP + b"\n", _PARSE),
    ("deep objects", b'{"a":' * _DEEP + b"1" + b"}" * _DEEP + b"\n", _PARSE),
    (
        "deep arrays in the arguments",
        _TRUE.replace(b"[]", b"[" * _DEEP + b"]" * _DEEP),
        _PARSE,
    ),
    (
        "deep arrays in a member that nobody knows",
        _TRUE.replace(b'"id": 1', b'"id":1,"x":' + b"[" * _DEEP + b"]" * _DEEP),
        _PARSE,
    ),
    ("batch of many", b"[" + b",".join([_TRUE[:-1]] * 1000) + b"]\n", _INVALID),
    ("response instead of a request", b'{"jsonrpc":"2.0","id":1,"result":{}}\n', _INVALID),
    ("method of a running command", _TRUE.replace(b'"exec"', b'"stdin"'), _METHOD),
    ("method with NUL", _TRUE.replace(b'"exec"', b'"exec\\u0000"'), _METHOD),
    ("method of a megabyte", _TRUE.replace(b'"exec"', b'"' + b"x" * 1_000_000 + b'"'), _METHOD),
)


def _send_line(scene: Scene, *, line: bytes, code: int) -> None:
    with scene.connect() as client:
        client.send(line)
        client.await_error(code)
        client.await_end()


def _send_in_bytes(scene: Scene, *, line: bytes, code: int) -> None:
    with scene.connect() as client:
        for position in range(len(line)):
            client.send(line[position : position + 1])
        client.await_error(code)


FAMILY = make_family(
    "not-requests",
    "lines that are no request, made to do harm",
    *(Attack(name, partial(_send_line, line=line, code=code)) for name, line, code in _LINES),
    *(
        Attack(f"{name}, a byte at a time", partial(_send_in_bytes, line=line, code=code))
        for name, line, code in _LINES
        if len(line) < 150
    ),
    promise="G9",
)
