"""Target: the metadata of an upload in two parts.

Where it is taken, whoever reads it as mail finds the same first part, with no other name.
"""

import email
import json

from airlock_modules.apis import BadHead, Head
from airlock_modules.apis.uploads import check_metadata
from fuzz.target import BrokenPromiseError, Target, require_one_line

_KIND = b"multipart/related; boundary=x"
_HEAD = Head("POST", "/upload/o", "uploadType=multipart", ((b"content-type", _KIND),))
_NAMES = ("name",)


def _check(data: bytes) -> None:
    taken = [_is_taken(data, size) for size in (1, 7, len(data) or 1)]
    if len({*taken}) != 1:
        raise BrokenPromiseError(f"{data!a} is read by its pieces")
    if not taken[0]:
        return
    message = email.message_from_bytes(b"Content-Type: %s\r\n\r\n%s" % (_KIND, data))
    # The message itself comes before its parts.
    _, part, *_ = (*message.walk(), message)
    first = part.get_payload(decode=True)
    if not isinstance(first, bytes) or not json.loads(first).keys() <= {*_NAMES}:
        raise BrokenPromiseError(f"{data!a} has the metadata {first!a} as mail")


def _is_taken(data: bytes, size: int) -> bool:
    pieces = (data[at : at + size] for at in range(0, len(data), size))
    try:
        check_metadata(_HEAD, pieces, _NAMES)
    except BadHead as error:
        require_one_line(str(error))
        return False
    return True


_PART = b'--x\r\nContent-Type: application/json\r\n\r\n{"name": "a"}\r\n'
_SEED = _PART + b"--x\r\nContent-Type: text/plain\r\n\r\ntext\r\n--x--\r\n"

TARGET = Target(
    check=_check,
    seeds=(_SEED, _SEED.replace(b"\r\n", b"\n"), _SEED.replace(b"name", b"acl")),
    words=(
        *(b"--x", b"--x--", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"--x\r\n", b"\n--x\n"),
        *(b'{"acl": []}', b'{"name": ""}', b"Content-Type: application/json", b": ", b"; "),
        *(b"MIME-Version: 1.0", b"Content-Transfer-Encoding: base64", b"; charset=utf-8"),
    ),
    longest=1024,
)
