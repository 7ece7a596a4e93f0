"""Which headers of a request are sent on to an API: those of HTTP, and those that its module lists.

A service may read a credential from a header of any name. With a key of its own an agent could send
what it knows to an account of its own, at a host that is allowed. So a header passes by its name,
and the others are dropped: most of them are for statistics, and a tool goes on without them.
"""

import functools
import re

from airlock_modules.apis.errors import ForeignCredential

Headers = tuple[tuple[bytes, bytes], ...]

_FORM = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}|[a-z0-9][a-z0-9-]{2,62}\*")

# Whoever sends a request writes these himself.
_FRAMING = {
    *("connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te"),
    *("transfer-encoding", "upgrade"),
}
# Of HTTP (RFC 9110, 9111, 9218, 7240), of browsers that tools are like, of WebSocket and SPDY; and
# what tells requests apart.
_STANDARD = frozenset(_FRAMING) | {
    *("accept", "accept-charset", "accept-encoding", "accept-language", "user-agent", "date"),
    *("cache-control", "pragma", "prefer", "priority", "range", "expires", "last-event-id"),
    *("content-disposition", "content-encoding", "content-language", "content-location"),
    *("content-md5", "content-range", "content-type", "content-digest", "repr-digest", "digest"),
    *("if-match", "if-modified-since", "if-none-match", "if-range", "if-unmodified-since"),
    *("origin", "referer", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user"),
    *("sec-websocket-extensions", "sec-websocket-key", "sec-websocket-protocol"),
    *("sec-websocket-version", "x-stream-protocol-version", "x-requested-with"),
    *("idempotency-key", "x-idempotency-key", "x-request-id", "x-correlation-id", "traceparent"),
    *("tracestate", "baggage"),
}
# These cut an answer into parts, in each of which a credential that a service repeats is not found.
_OF_PARTS = frozenset({"range", "if-range"})
# What is spoken after an upgrade is named in these. Some services take a credential for such a
# name, so that only known ones pass.
_PROTOCOLS = frozenset({"sec-websocket-protocol", "x-stream-protocol-version"})
_KNOWN_PROTOCOL = re.compile(
    r"(?:v[1-9]\.)?(?:base64\.)?channel\.k8s\.io|SPDY/3\.1\+portforward\.k8s\.io"
    r"|graphql-ws|graphql-transport-ws|mqtt"
)


def find_header_problem(pattern: str) -> str | None:
    """Tell why `pattern` is no name of a header, or beginning of names before `*`."""
    if _FORM.fullmatch(pattern):
        return None
    return "is no name of a header in small letters, or three or more letters of one before *"


@functools.lru_cache(maxsize=4096)
def is_sent_on(name: str, listed: tuple[str, ...]) -> bool:
    """Whether a header passes, by its name in lower case; `listed` are those of the API.

    A `*` stands for no `_`: some servers read that as another name.
    """
    if name in _STANDARD or name in listed:
        return True
    starts = (each[:-1] for each in listed if each.endswith("*"))
    return "_" not in name and name.startswith(tuple(starts))


def select_headers(
    headers: Headers, listed: tuple[str, ...], *, may_ask_for_parts: bool = True
) -> tuple[Headers, tuple[str, ...]]:
    """Those that pass, in order, and the names of the others; `listed` as that of `is_sent_on`.

    Without `may_ask_for_parts` a service answers as a whole, as any may (RFC 9110, 14.2), unless
    Range is listed.
    """
    sent = tuple(
        each
        for each in headers
        if is_sent_on(name := each[0].decode(), listed)
        and (may_ask_for_parts or name not in _OF_PARTS or name in listed)
    )
    if len(sent) == len(headers):
        return headers, ()
    kept = {name for name, _ in sent}
    return sent, tuple(dict.fromkeys(name.decode() for name, _ in headers if name not in kept))


def check_protocol(name: str, value: str) -> None:
    """Raise ForeignCredential where a header names a protocol that may be a credential."""
    if name in _PROTOCOLS:
        for each in value.split(","):
            if not _KNOWN_PROTOCOL.fullmatch(each.strip()):
                raise ForeignCredential(f"the header {name} has a name that may be a credential")
