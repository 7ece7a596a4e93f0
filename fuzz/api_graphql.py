"""Target: the body of a GraphQL request.

Each field that is read stands in the document, and where the document has no word `mutation`,
there is none. Blanks, comments and commas between tokens change nothing.
"""

import json

from airlock_modules.apis import BadHead, GraphQlField, Head, read_graphql
from fuzz.target import BrokenPromiseError, Target, require_one_line

_MAX_LENGTH = 2048
_HEAD = Head("POST", "/graphql", "", ((b"content-type", b"application/json"),))


def _check(data: bytes) -> None:
    _read(data)
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    fields = _read(_wrap(text))
    if fields is None:
        return
    for field in fields:
        names = {field.name, *field.fields} - {"..."}
        if not all(name in text for name in names):
            raise BrokenPromiseError(f"nobody asked for {field!a}")
        if field.kind != "query" and field.kind not in text:
            raise BrokenPromiseError(f"nobody wrote {field.kind}")
    for before, after, more in (
        ("# mutation {x}\r\n", "", ()),
        ("", "\n, \ufeff# }", ()),
        ("", "\nmutation {added}", (GraphQlField("mutation", "added"),)),
    ):
        found = _read(_wrap(before + text + after))
        if found != (*fields, *more):
            raise BrokenPromiseError(f"{text!a} is read as {found!a} with {before + after!a}")


def _wrap(text: str) -> bytes:
    return json.dumps({"query": text, "variables": {"a": "b"}}).encode()


def _read(body: bytes) -> tuple[GraphQlField, ...] | None:
    try:
        return read_graphql(_HEAD, body)
    except BadHead as error:
        require_one_line(str(error))
        return None


TARGET = Target(
    check=_check,
    seeds=(
        b'{"query": "{a}", "variables": {"b": "c"}}',
        b'query Q($a: String = "x") @d(e: 1) {f: repository(owner: $a, name: "n") {...F g}}',
        b'fragment F on T {a} mutation M {b(input: {c: ["}", """x"""]}) {d}} # {',
    ),
    words=(
        *(b"{", b"}", b"(", b")", b"[", b"]", b"$", b"@", b"...", b"...on T", b":", b"=", b"|"),
        *(b'"', b'"""', b'\\"', b"#", b"\r", b"\n", b",", b"\xef\xbb\xbf", b"\xc2\xa0", b"0"),
        *(b"query ", b"mutation ", b"subscription ", b"fragment F on T ", b"repository"),
        *(b'"query": ', b"\\u007d"),
    ),
    longest=_MAX_LENGTH,
)
