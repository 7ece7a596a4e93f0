"""Target: the head of a request to an API.

What is read is what h11 reads; written anew it is read as the same; its path leads nowhere else in
any spelling; a rule that denies covers all that it grants; and a credential is sent only where the
placeholder stood.
"""

import urllib.parse

import h11

from airlock_modules.apis import (
    Api,
    BadHead,
    Credential,
    ForeignCredential,
    Head,
    Source,
    exchange,
    head_end,
    read_head,
)
from airlock_modules.apis.credentials import is_sent_on
from airlock_modules.apis.patterns import find_rule_problem, matches_rule, may_match_rule
from fuzz.target import BrokenPromiseError, Target, require_one_line

_MAX_LENGTH = 2048
_HOST = "a.example.com"
_PLACEHOLDER, _SECRET = "x_placeholder0000000", "REAL0000SECRET"
_CREDENTIAL = Credential(
    kind="header",
    source=Source(kind="stored", words=("x",)),
    headers=("authorization", "x-api-key"),
    query=("key",),
    placeholder="x_{20}",
)
_API = Api(name="x", module="x", hosts=(_HOST,), credential=_CREDENTIAL, headers=("x-listed-*",))
_RULES = ("GET /a/*", "* /a/**", "POST,GET /a/*/b%2F*", "* /**/c/**", "PUT /@*%2F*")


def _check(data: bytes) -> None:
    loose, raw = bool(data[:1] and data[0] & 1), data[1:]
    try:
        end = head_end(raw)
        if end is None:
            return
        head = read_head(raw[:end], _HOST, loose_paths=loose)
    except BadHead as error:
        require_one_line(str(error))
        return
    _compare_with_h11(raw[:end], head)
    if read_head(_write(head), _HOST, loose_paths=loose) != head:
        raise BrokenPromiseError(f"written anew it is another request: {head!a}")
    parts = urllib.parse.unquote(head.path).split("/")
    if {".", ".."} & set(parts) or (not loose and "" in parts[1:-1]):
        raise BrokenPromiseError(f"{head.path!a} leads elsewhere")
    for rule in (*_RULES, f"{head.method} {head.path}"):
        is_granted = find_rule_problem(rule) is None and matches_rule(rule, head.method, head.path)
        if is_granted and not may_match_rule(rule, head.method, head.path):
            raise BrokenPromiseError(f"{rule!a} grants {head.path!a} and does not deny it")
    _check_exchange(raw, head)


def _write(head: Head) -> bytes:
    target = head.path + (f"?{head.query}" if head.query else "")
    fields = b"".join(name + b": " + value + b"\r\n" for name, value in head.headers)
    return f"{head.method} {target} HTTP/1.1\r\n".encode() + fields + b"\r\n"


def _compare_with_h11(raw: bytes, head: Head) -> None:
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(raw)
    request = connection.next_event()
    if not isinstance(request, h11.Request):
        raise BrokenPromiseError(f"h11 reads no request: {request!a}")
    # It writes what is between chunks in small letters.
    coding = b"transfer-encoding"
    headers = [(key, value.lower() if key == coding else value) for key, value in head.headers]
    if (request.method, list(request.headers)) != (head.method.encode(), headers):
        raise BrokenPromiseError(f"h11 reads {request!a}")


def _check_exchange(raw: bytes, head: Head) -> None:
    try:
        sent = exchange(head, _API, _PLACEHOLDER, _SECRET)
    except ForeignCredential as error:
        require_one_line(str(error))
        return
    shown = repr(sent)
    if _SECRET in shown and _PLACEHOLDER.encode() not in urllib.parse.unquote_to_bytes(raw):
        raise BrokenPromiseError("the credential was sent for no placeholder")
    if {name for name, _ in sent.headers} & {name.encode() for name in sent.dropped}:
        raise BrokenPromiseError(f"a header is sent on that is called dropped: {sent!a}")
    for name, value in sent.headers:
        is_placed = name in (b"authorization", b"x-api-key")
        if is_placed and _SECRET not in value.decode("latin-1"):
            raise BrokenPromiseError(f"a foreign credential passed in {name!a}")
        if not is_placed and not is_sent_on(name.decode(), _API.headers):
            raise BrokenPromiseError(f"the header {name!a} passed, which nobody listed")


_REST = f" HTTP/1.1\r\nHost: {_HOST}\r\n".encode()

TARGET = Target(
    check=_check,
    seeds=(
        b"\0GET /a/%2e%2E/b%2fc;x?key=" + _PLACEHOLDER.encode() + _REST + b"\r\n",
        b"\1POST /a//b;c" + _REST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"\0GET /" + _REST + b"Authorization: Bearer " + _PLACEHOLDER.encode() + b"\r\n\r\n",
    ),
    words=(
        *(b"%2e", b"%2F", b"%25", b"%00", b"%c0%ae", b"%EF%BC%8E", b"..", b"//", b";", b"\\"),
        *(b"?", b"#", b"\r\n", b"\n", b"\r", b"\t", b" ", b":", b"\r\n ", b"HTTP/1.1", b"HTTP/1.0"),
        *(b"Host: ", b"Transfer-Encoding: chunked\r\n", b"Content-Length: 0\r\n", b"X-Api-Key: "),
        *(b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Authorization: Basic "),
        *(
            b"Cookie: a\r\n",
            b"X-Listed-A: b\r\n",
            b"x_y: b\r\n",
            b"key=",
            b"token=",
            b"_method=PUT",
            b"&",
            _PLACEHOLDER.encode(),
        ),
    ),
    longest=_MAX_LENGTH,
)
