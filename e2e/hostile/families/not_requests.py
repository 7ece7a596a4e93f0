"""Lines that are no request: each gets its error, and nothing runs."""

from functools import partial

from e2e.hostile.attack import Attack, Scene, make_family
from e2e.world.lines import make_request

_TRUE = make_request("true", request_id=1)
_DEEP = 100_000

_PARSE, _INVALID, _METHOD = -32700, -32600, -32601

_LINES: tuple[tuple[str, bytes, int], ...] = (
    ("empty line", b"\n", _PARSE),
    ("carriage return", b"\r\n", _PARSE),
    ("no JSON", b"GET / HTTP/1.1\n", _PARSE),
    ("half an object", b'{"jsonrpc":"2.0","id":1\n', _PARSE),
    ("two objects in a line", _TRUE[:-1] + _TRUE, _PARSE),
    ("trailing comma", _TRUE[:-2] + b",}\n", _PARSE),
    ("NaN", _TRUE.replace(b'"id": 1', b'"id": NaN'), _PARSE),
    ("number that no one can hold", _TRUE.replace(b'"id": 1', b'"id": 1e999'), _INVALID),
    ("invalid UTF-8", _TRUE.replace(b"true", b"\xff\xfe"), _PARSE),
    ("UTF-8 of a surrogate", _TRUE.replace(b"true", b"\xed\xa0\x80"), _PARSE),
    ("overlong UTF-8", _TRUE.replace(b"true", b"\xc0\xaf"), _PARSE),
    ("UTF-16", _TRUE[:-1].decode().encode("utf-16") + b"\n", _PARSE),
    ("byte order mark", b"\xef\xbb\xbf" + _TRUE, _PARSE),
    ("raw NUL", b"\0" + _TRUE, _PARSE),
    ("raw control character in a string", _TRUE.replace(b"true", b"\x01"), _PARSE),
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
    ("empty batch", b"[]\n", _INVALID),
    ("batch of one", b"[" + _TRUE[:-1] + b"]\n", _INVALID),
    ("batch of many", b"[" + b",".join([_TRUE[:-1]] * 1000) + b"]\n", _INVALID),
    ("number", b"1\n", _INVALID),
    ("string", b'"exec"\n', _INVALID),
    ("null", b"null\n", _INVALID),
    ("empty object", b"{}\n", _INVALID),
    ("other version", _TRUE.replace(b'"2.0"', b'"1.0"'), _INVALID),
    ("version as a number", _TRUE.replace(b'"2.0"', b"2.0"), _INVALID),
    ("no id", _TRUE.replace(b'"id": 1, ', b""), _INVALID),
    ("id null", _TRUE.replace(b'"id": 1', b'"id": null'), _INVALID),
    ("id true", _TRUE.replace(b'"id": 1', b'"id": true'), _INVALID),
    ("id an object", _TRUE.replace(b'"id": 1', b'"id": {"id": 1}'), _INVALID),
    ("method a number", _TRUE.replace(b'"exec"', b"1"), _INVALID),
    ("response instead of a request", b'{"jsonrpc":"2.0","id":1,"result":{}}\n', _INVALID),
    ("method of the other direction", _TRUE.replace(b'"exec"', b'"output"'), _METHOD),
    ("method of a running command", _TRUE.replace(b'"exec"', b'"stdin"'), _METHOD),
    ("method in other case", _TRUE.replace(b'"exec"', b'"EXEC"'), _METHOD),
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
    "lines that are no request",
    *(Attack(name, partial(_send_line, line=line, code=code)) for name, line, code in _LINES),
    *(
        Attack(f"{name}, a byte at a time", partial(_send_in_bytes, line=line, code=code))
        for name, line, code in _LINES
        if len(line) < 150
    ),
)
