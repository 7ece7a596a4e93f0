"""Strict parsing of a request's head: an ambiguous one is refused.

Servers differ in how they parse a bare LF, a folded line, an escaped `..`, or Content-Length with
chunks. Each difference would let a request be judged as one operation and executed as another. So
ambiguity is refused, and the forwarded head is serialised from the result (RFC 9112, 3986).
"""

import re
import unicodedata
import urllib.parse

from msgspec import Struct

from airlock_wire.text import quote


class BadHead(Exception):
    """An ambiguous or invalid request. `str(error)` tells its sender why, `hint` a remedy."""

    def __init__(self, why: str, *, hint: str = "") -> None:
        super().__init__(why)
        self.hint = hint


class ForeignCredential(Exception):
    """A request with a credential other than the agent's placeholder, or in a wrong place."""


MAX_HEAD = 64 * 1024
"""Maximum bytes of a head, including the final empty line."""
_MAX_HEADERS = 100
_MAX_TARGET = 16 * 1024
_LINE = re.compile(rb"([A-Z]{1,20}) ([!-~]+) HTTP/1\.([01])")
_NAME = re.compile(rb"[A-Za-z0-9._-]{1,128}")
_VALUE = re.compile(rb"[\t -~\x80-\xff]*")
_LENGTH = re.compile(rb"0|[1-9][0-9]{0,17}")
_ESCAPE = re.compile(r"%([0-9A-Fa-f]{2})")
_BAD_ESCAPE = re.compile(r"%(?![0-9A-Fa-f]{2})")
_UNRESERVED = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_DOUBLY_ESCAPED = re.compile(r"%(?:25)+(?:2e|2f|5c|3b|00)", re.IGNORECASE)
_ESCAPED_ESCAPE = re.compile(r"%(?:25)+[0-9a-f]{2}", re.IGNORECASE)
_REPEATABLE = frozenset(
    {b"accept", b"accept-encoding", b"accept-language", b"cache-control", b"if-match"}
)
_REPEATABLE |= {
    b"if-none-match",
    b"pragma",
    b"prefer",
    b"warning",
    b"anthropic-beta",
    b"openai-beta",
    b"user-agent",
    b"x-stream-protocol-version",
}
_UNSPOKEN = frozenset({"TRACE", "TRACK", "CONNECT"})
# With these some servers use another method, path, host or user than the judged one.
_ANOTHER = frozenset(
    {
        *(
            "x-http-method-override",
            "x-http-method",
            "x-method-override",
            "x-method",
            "method-override",
        ),
        *(
            "x-rewrite-url",
            "x-original-url",
            "x-original-uri",
            "x-original-host",
            "x-original-method",
        ),
        *("x-host", "x-http-host-override", "x-http-path-override", "x-http-destinationurl"),
        *("forwarded", "via", "trailer", "http2-settings", "x-sudo", "sudo", "x-proxy-url"),
    }
)
_ANOTHER_PREFIXES = ("x-forwarded-", "impersonate-", "x-remote-", "x-goog-iap-")
# Parameters with the same effect: whole names, and names reduced by `reduce_name`.
_OVERRIDES = frozenset({"_method", "$method", "$req", "$ct"})
_REDUCED_OVERRIDES = frozenset(
    {
        *("httpmethod", "httpheaders", "xhttpmethod", "xhttpmethodoverride", "xmethodoverride"),
        *("methodoverride", "xmethod", "httpuri", "sudo"),
    }
)
# Their content means nothing (RFC 9110, 9.3), and many servers leave it unread.
_WITHOUT_CONTENT = frozenset({"GET", "HEAD", "OPTIONS"})
_FORM = re.compile("form|multipart/", re.IGNORECASE)
_CONNECTION = frozenset({"keep-alive", "close", "upgrade", "te"})


class Head(Struct, frozen=True):
    """A request without its body, as judged and sent.

    `path` is normalised: escapes are in upper case, and only where needed. `query` excludes its
    `?`. `headers` are in order, with names in lower case.
    """

    method: str
    path: str
    query: str
    headers: tuple[tuple[bytes, bytes], ...]

    def get(self, name: str) -> str | None:
        """Return the value of the first header of this name (in lower case), or None."""
        wanted = name.encode()
        return next((value.decode("latin-1") for key, value in self.headers if key == wanted), None)

    @property
    def has_body(self) -> bool:
        """Whether a body follows, even an empty one in chunks."""
        has_chunks = self.get("transfer-encoding") is not None
        return has_chunks or self.get("content-length") not in (None, "0")

    @property
    def has_form(self) -> bool:
        """Whether it is a POST that a server may parse as a form, as it may without a type."""
        kind = self.get("content-type") or "form"
        return self.method == "POST" and self.has_body and _FORM.search(kind) is not None

    @property
    def query_names(self) -> tuple[str, ...]:
        """The decoded names of the parameters, in order."""
        return tuple(name for name, _ in read_query(self.query))


def head_end(buffer: bytes | bytearray) -> int | None:
    """Return the end of the first head in `buffer`, after its empty line; None if incomplete.

    Raises BadHead as soon as it is too long.
    """
    at = buffer.find(b"\r\n\r\n", 0, MAX_HEAD)
    if at >= 0:
        return at + 4
    if len(buffer) >= MAX_HEAD:
        raise BadHead("the head of the request is longer than 64 KiB")
    return None


def read_head(raw: bytes, authority: str | None, *, loose_paths: bool = False) -> Head:
    """Parse `raw`, a head with its empty line, of a connection to `authority`.

    `authority` is the host in lower case, with `:PORT` unless it is 443; None for a local socket,
    where clients send any. With `loose_paths` a path
    may have empty segments and `;`, as keys of S3 do. Raises BadHead for an ambiguous head.
    """
    first, *lines = raw.removesuffix(b"\r\n\r\n").split(b"\r\n")
    line = _LINE.fullmatch(first)
    if line is None:
        raise BadHead("the request line is not METHOD, blank, path, blank, HTTP/1.1")
    method = line[1].decode()
    if line[3] == b"0":
        raise BadHead("HTTP/1.0 is not supported; use HTTP/1.1")
    if method in _UNSPOKEN:
        raise BadHead(f"the method {method} is not supported")
    if len(line[2]) > _MAX_TARGET:
        raise BadHead("the path is longer than 16 KiB")
    headers = _read_headers(lines)
    values = dict(headers)
    _check_framing(values)
    host = values.get(b"host", b"").decode("latin-1").lower()
    if authority is not None and host.removesuffix(":443") != authority.removesuffix(":443"):
        raise BadHead(f"the Host header {quote(host, limit=80)} is not the host of this connection")
    path, query = _read_target(line[2].decode(), loose_paths=loose_paths)
    head = Head(method, path, query, headers)
    if method in _WITHOUT_CONTENT and head.has_body:
        raise BadHead(
            f"a body of a {method}, which a service could take for another request",
            hint="send it as POST, or without a body",
        )
    return head


def read_query(query: str) -> list[tuple[str, str]]:
    """Return the decoded parameters of a query; a missing value is empty."""
    # Some servers still accept `;` as a separator.
    pairs = (each.partition("=") for each in re.split("[&;]", query) if each)
    return [
        (urllib.parse.unquote_plus(name), urllib.parse.unquote_plus(value))
        for name, _, value in pairs
    ]


def reduce_name(name: str) -> str:
    """Return the letters and digits of a parameter's name, in lower case.

    Servers treat `access.token`, `access-token[]` and `$access_token` as the same.
    """
    plain = unicodedata.normalize("NFKC", name).lower()
    return "".join(each for each in plain if each.isalnum())


def _read_headers(lines: list[bytes]) -> tuple[tuple[bytes, bytes], ...]:
    if len(lines) > _MAX_HEADERS:
        raise BadHead(f"there are more than {_MAX_HEADERS} headers")
    found: dict[bytes, list[bytes]] = {}
    headers = []
    for line in lines:
        name, colon, value = line.partition(b":")
        # A folded line begins with a blank, which is invalid in a name.
        if not colon or not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise BadHead("a header line is folded, has a bare CR or LF, or an unusual name")
        name, value = name.lower(), value.strip(b" \t")
        if name in found and name not in _REPEATABLE:
            raise BadHead(f"the header {name.decode()} is there twice")
        found.setdefault(name, []).append(value)
        _check_name(name.decode())
        headers.append((name, value))
    return tuple(headers)


def _check_name(name: str) -> None:
    # Some servers treat `_` as `-`. Other names with `_` are dropped unless listed.
    name = name.replace("_", "-")
    if name in _ANOTHER or name.startswith(_ANOTHER_PREFIXES):
        raise BadHead(f"the header {name} can make it another request than the one that is judged")


def _check_framing(values: dict[bytes, bytes]) -> None:
    if b"transfer-encoding" in values:
        if b"content-length" in values:
            raise BadHead("content-length beside transfer-encoding")
        if values[b"transfer-encoding"].lower() != b"chunked":
            raise BadHead("a transfer-encoding other than chunked")
    if not _LENGTH.fullmatch(values.get(b"content-length", b"0")):
        raise BadHead("content-length is no number")
    if values.get(b"expect", b"100-continue").lower() != b"100-continue":
        raise BadHead("an expectation other than 100-continue")
    named = values.get(b"connection", b"").decode("latin-1").lower().split(",")
    if not {each.strip() for each in named if each.strip()} <= _CONNECTION:
        # It names headers that the next hop must remove.
        raise BadHead(
            "the Connection header names something other than keep-alive, close and upgrade"
        )


def _read_target(target: str, *, loose_paths: bool) -> tuple[str, str]:
    if not target.startswith("/") or "#" in target or "\\" in target:
        raise BadHead("the target is no path: absolute form, asterisk, fragment or backslash")
    path, _, query = target.partition("?")
    if _BAD_ESCAPE.search(target):
        raise BadHead("a % in the path or query that begins no escape")
    path = _ESCAPE.sub(_normalise_escape, path)
    try:
        decoded = urllib.parse.unquote(path, errors="strict")
    except UnicodeDecodeError:
        raise BadHead("an escape in the path that is no UTF-8") from None
    # Some servers convert full-width dots and slashes to plain ones.
    plain = unicodedata.normalize("NFKC", decoded).replace("\u2215", "/").replace("\u2044", "/")
    if _CONTROL.search(decoded) or "\\" in plain:
        raise BadHead("a control character or backslash in the path")
    if any(part.partition(";")[0].strip() in (".", "..") for part in plain.split("/")):
        raise BadHead("a segment . or .. in the path")
    if _DOUBLY_ESCAPED.search(path):
        raise BadHead("a dot, slash, backslash or semicolon in the path that is escaped twice")
    if not loose_paths:
        _check_segments(path, decoded)
    for name, _ in read_query(query):
        if name.strip().lower() in _OVERRIDES or reduce_name(name) in _REDUCED_OVERRIDES:
            raise BadHead(f"the query parameter {quote(name)} can make it another request")
    return path, query


def _check_segments(path: str, decoded: str) -> None:
    """Raise BadHead for segments that only keys of an object store may have."""
    if _ESCAPED_ESCAPE.search(path):
        raise BadHead("an escape in the path that is escaped again")
    if ";" in decoded:
        raise BadHead("a semicolon in the path")
    if "//" in decoded:
        raise BadHead("an empty segment (//) in the path")


def _normalise_escape(escape: "re.Match[str]") -> str:
    character = chr(int(escape[1], 16))
    return character if character in _UNRESERVED else escape[0].upper()
