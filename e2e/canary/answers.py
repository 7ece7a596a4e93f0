"""What a hostile or broken server says to a client of git: an answer for each repository's name.

In all of them stand `<web>` and `<plain>` for ports, and `<word>` for a canary that whoever takes
the answer passes on.
"""

from collections.abc import Iterator, Mapping

from e2e.canary.push import FLUSH

_KIND = "application/x-git-upload-pack-advertisement"
_MARKS = ("\x1b[2J", "\x9b2J", "\u202e", "\u2028", "\u200b", "\x07")
# 32 characters stand for the word.
_WORD = b"<word>"
_LINE = b"0032" + _WORD + b" agent is x\n"


def _head(*lines: str) -> bytes:
    return "\r\n".join((*lines, "", "")).encode("latin-1", "surrogateescape")


REFS = b"000eversion 2\n" + _LINE + FLUSH
_SIZE = 14 + 0x32 + 4
_CHUNKED = b"%x\r\n" % _SIZE + REFS + b"\r\n0\r\n\r\n"
_OK = ("HTTP/1.1 200 OK", f"Content-Type: {_KIND}")
_LENGTH = f"Content-Length: {_SIZE}"

REDIRECTS: Mapping[str, str] = {
    "another repository": "https://127.0.0.1:<web>/secret.git/info/refs?service=git-upload-pack",
    "the same by a path": "/secret.git/info/refs?service=git-upload-pack",
    "another name": "https://localhost:<web>/secret.git/info/refs?service=git-upload-pack",
    "http": "http://127.0.0.1:<plain>/open/app.git/info/refs?service=git-upload-pack",
    "another port": "https://127.0.0.1:<impostor>/x/info/refs?service=git-upload-pack",
    "an account in it": "http://a:b@127.0.0.1:<plain>/x/info/refs?service=git-upload-pack",
    "no scheme": "//127.0.0.1:<web>/secret.git/info/refs?service=git-upload-pack",
    "a file": "file:///etc/passwd",
    "a control": "https://127.0.0.1:<web>/secret.git\x0b/info/refs?service=git-upload-pack",
    "nowhere": "",
    "no port": "https://127.0.0.1:x/secret.git",
    "no host": "https:///secret.git",
}
"""Where a server sends on to; without the guard the first four lead somewhere."""

# Heads that could be read in two ways, or are none, and what stands behind them. The flag says that
# it is taken where the headers are not looked at.
AMBIGUOUS: Mapping[str, tuple[bytes, bool]] = {
    "two lengths": (_head(*_OK, _LENGTH, "Transfer-Encoding: chunked") + _CHUNKED, True),
    "two lengths, turned": (_head(*_OK, "Transfer-Encoding: chunked", _LENGTH) + _CHUNKED, True),
    "two different lengths": (_head(*_OK, _LENGTH, "Content-Length: 5") + REFS, False),
    "a length with a sign": (_head(*_OK, f"Content-Length: +{_SIZE}") + REFS, False),
    "a length in hexadecimal": (_head(*_OK, f"Content-Length: {_SIZE:#x}") + REFS, False),
    "chunked twice": (_head(*_OK, "Transfer-Encoding: chunked, chunked") + _CHUNKED, False),
    "chunked in disguise": (_head(*_OK, "Transfer-Encoding: \x0bchunked") + _CHUNKED, False),
    "another coding": (_head(*_OK, "Transfer-Encoding: gzip, chunked") + _CHUNKED, False),
    "a blank before the colon": (_head(*_OK, f"Content-Length : {_SIZE}") + REFS, False),
    "a NUL in a header": (_head(*_OK, _LENGTH, "X: a\0b") + REFS, False),
    "a size with a sign": (_head(*_OK, "Transfer-Encoding: chunked") + b"+" + _CHUNKED, False),
    "a size without end": (_head(*_OK, "Transfer-Encoding: chunked") + b"f" * 99999, False),
    "another protocol": (b"\x16\x03\x01" + REFS, False),
    "a switch": (_head("HTTP/1.1 101 No", "Upgrade: h2c", "Connection: upgrade") + REFS, False),
    "one byte": (b"H", False),
    "nothing": (b"", False),
    "many first words": (_head("HTTP/1.1 100 No") * 50 + _head(*_OK, _LENGTH) + REFS, False),
    "a long head": (_head(*_OK, *(f"X-{n}: {'x' * 99}" for n in range(2000)), _LENGTH), False),
    "another type": (_head(_OK[0], "Content-Type: text/html", _LENGTH) + REFS, False),
    "two types": (_head(*_OK, "Content-Type: text/html", _LENGTH) + REFS, False),
    "packed in an odd way": (_head(*_OK, _LENGTH, "Content-Encoding: br") + REFS, False),
    "packed, and is not": (_head(*_OK, _LENGTH, "Content-Encoding: gzip") + REFS, False),
    "no content": (_head("HTTP/1.1 204 No", *_OK[1:]) + REFS, False),
    "a part": (_head("HTTP/1.1 206 Part", *_OK[1:], _LENGTH) + REFS, False),
    "version 1": (_head(*_OK) + b"000eversion 1\n" + _LINE + FLUSH, False),
    "another service": (_head(*_OK) + b"001f# service=git-receive-pack\n0000" + REFS, False),
    "no flush": (_head(*_OK) + b"001e# service=git-upload-pack\n" + REFS, False),
    "no pkt-line": (_head(*_OK) + b"000Eversion 2\n" + _LINE, False),
}
"""A head, and what follows it."""


def _texts() -> Iterator[tuple[str, bytes, bool]]:
    for mark in _MARKS:
        text = f"a{mark}b"
        # What is no latin-1 stands there as UTF-8.
        raw = text.encode().decode("latin-1")
        shown = f"{mark!a}"
        refused = _head("HTTP/1.1 403 No", "Content-Type: text/plain; charset=utf-8")
        yield f"{shown} in an answer", refused + text.encode(), True
        missing = _head("HTTP/1.1 404 No", "Content-Type: text/plain")
        yield f"{shown} where there is nothing", missing + text.encode(), True
        # h11 takes no control in a header; what the others are in latin-1 is one.
        is_taken = mark not in "\x1b[2J\x07"
        kind = _head("HTTP/1.1 200 OK", f"Content-Type: text/{raw}")
        yield f"{shown} in a type", kind + REFS, is_taken
        # Nothing of a packing is shown.
        yield f"{shown} in a packing", _head(*_OK, f"Content-Encoding: {raw}"), False
        moved = _head("HTTP/1.1 302 No", f"Location: https://x/{raw}")
        yield f"{shown} in a redirect", moved, is_taken
        # No character of the reason is shown.
        yield f"{shown} in a reason", _head(f"HTTP/1.1 500 {raw}", "Content-Length: 0"), False
        yield f"{shown} in a challenge", _head("HTTP/1.1 401 No", f"WWW-Authenticate: {raw}"), False


TEXTS: Mapping[str, tuple[bytes, bool]] = {name: (said, works) for name, said, works in _texts()}
"""What a terminal would obey. The flag says that it is shown where texts are not escaped."""

STATUSES = (301, 302, 303, 307, 308)


def find(kind: str, name: str, *, status: int = 0) -> str:
    """The name of the repository that is answered for so."""
    tables = {"redirect": [*REDIRECTS], "ambiguous": [*AMBIGUOUS], "text": [*TEXTS]}
    return f"/odd/{kind}{status or ''}-{tables[kind].index(name)}"


def list_answers() -> Iterator[tuple[str, bytes]]:
    """All of them, by method and name."""
    for name, location in REDIRECTS.items():
        for status in STATUSES:
            said = _head(f"HTTP/1.1 {status} Moved", f"Location: {location}", "Content-Length: 0")
            place = find("redirect", name, status=status)
            yield f"GET {place}", said
            # The server has /open/app.git there, up to this.
            yield f"POST /open{place}", said
    for name, (said, _) in AMBIGUOUS.items():
        yield f"GET {find('ambiguous', name)}", said
    for name, (said, _) in TEXTS.items():
        yield f"GET {find('text', name)}", said
