"""Replacing the agent's placeholder in a request with the credential.

Where credentials are sent only the placeholder passes. Anything that looks like another credential
is refused, so that the tool reports why; an unlisted header is dropped. Bodies are not searched: a
module grants no operation that logs in by one.

A service may accept a credential in a header of any name. With a key of its own an agent could send
data to its own account at an allowed host. So headers pass by name: those of HTTP, and those that
the module lists. Most others are for statistics.
"""

import base64
import binascii
import functools
import hmac
import re
import string
import urllib.parse

from msgspec import Struct

from airlock_modules.apis.api import Api, Credential
from airlock_modules.apis.head import ForeignCredential, Head, read_query, reduce_name
from airlock_modules.apis.uploads import names_upload

Headers = tuple[tuple[bytes, bytes], ...]

_FORM = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}|[a-z0-9][a-z0-9-]{2,62}\*")

# Set by the sender of each hop.
_FRAMING = {
    *("connection", "content-length", "expect", "host", "keep-alive", "proxy-connection", "te"),
    *("transfer-encoding", "upgrade"),
}
# Headers of HTTP (RFC 9110, 9111, 9218, 7240), of browsers, which some tools imitate, of WebSocket
# and SPDY, and request ids.
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
# These split an answer, which could split a credential that a service echoes and so hide it.
_OF_PARTS = frozenset({"range", "if-range"})
# These name the protocol after an upgrade. Some services accept a credential there, so only known
# names pass.
_PROTOCOLS = frozenset({"sec-websocket-protocol", "x-stream-protocol-version"})
_KNOWN_PROTOCOL = re.compile(
    r"(?:v[1-9]\.)?(?:base64\.)?channel\.k8s\.io|SPDY/3\.1\+portforward\.k8s\.io"
    r"|graphql-ws|graphql-transport-ws|mqtt"
)


def find_header_problem(pattern: str) -> str | None:
    """Return why `pattern` is no header name, nor a prefix before `*`; None if it is valid."""
    if _FORM.fullmatch(pattern):
        return None
    return "is no name of a header in small letters, or three or more letters of one before *"


@functools.lru_cache(maxsize=4096)
def is_sent_on(name: str, listed: tuple[str, ...]) -> bool:
    """Whether a header passes, by its name in lower case; `listed` are the API's.

    A `*` does not match `_`: some servers read a `_` as `-`.
    """
    if name in _STANDARD or name in listed:
        return True
    starts = (each[:-1] for each in listed if each.endswith("*"))
    return "_" not in name and name.startswith(tuple(starts))


def select_headers(
    headers: Headers, listed: tuple[str, ...], *, may_ask_for_parts: bool = True
) -> tuple[Headers, tuple[str, ...]]:
    """Return the headers that pass, in order, and the names of the others; see `is_sent_on`.

    Without `may_ask_for_parts` unlisted Range and If-Range are dropped, so the service sends a
    whole answer, as any may (RFC 9110, 14.2).
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
    """Raise ForeignCredential if a header names a protocol that may be a credential."""
    if name in _PROTOCOLS:
        for each in value.split(","):
            if not _KNOWN_PROTOCOL.fullmatch(each.strip()):
                raise ForeignCredential(f"the header {name} has a name that may be a credential")


_CARRIER = re.compile(
    r"(?:^|-)(?:authorization|authentication|cookie2?|tokens?|jwt|apikey|secret|signature|password"
    r"|passwd|credentials?|(?:api|access|auth|app|functions|subscription)-key)(?:$|-)|-auth$"
)
# Parameter names, reduced to letters and digits: whole names, and suffixes.
_QUERY_CARRIERS = frozenset(
    {
        *("token", "key", "jobtoken", "idtoken", "refreshtoken", "bearer", "authorization", "auth"),
        *("jwt", "password", "passwd", "secret", "clientsecret", "apisecret", "appkey", "authkey"),
        *("sig", "signature", "assertion", "credential", "credentials", "awsaccesskeyid"),
        *("xamzsignature", "xamzcredential", "xamzsecuritytoken", "xgoogsignature"),
        "xgoogcredential",
    }
)
_QUERY_ENDS = (
    *("accesstoken", "privatetoken", "oauthtoken", "sessiontoken", "authtoken", "bearertoken"),
    *("apitoken", "apikey"),
)
_WITH_SCHEME = ("authorization", "proxy-authorization")
_SCHEMES = ("bearer", "token")
_LENGTH = re.compile(r"\{([1-9][0-9]{0,2})\}")
_LETTERS = string.ascii_letters + string.digits
_CAPITALS = string.ascii_uppercase + "234567"


class Exchanged(Struct, frozen=True):
    """The forwarded part of a head: its headers in order, and its query.

    `dropped` has the names of dropped headers; `has_secret` means that the placeholder was there.
    """

    headers: Headers
    query: str
    dropped: tuple[str, ...]
    has_secret: bool


def uses_placeholder(head: Head, api: Api, placeholder: str) -> bool:
    """Whether the request needs the credential: it has the placeholder, or uses a certificate.

    Raises ForeignCredential for any other credential, and for one in a wrong place.
    """
    is_in_tls = api.credential is not None and api.credential.kind == "client-certificate"
    return exchange(head, api, placeholder, "").has_secret or is_in_tls


def exchange(head: Head, api: Api, placeholder: str, secret: str) -> Exchanged:
    """Replace `placeholder` by `secret` in the headers and query that carry the API's credential.

    A request without a credential stays without; an empty `secret` removes it. Raises
    ForeignCredential as `uses_placeholder`.
    """
    credential = api.credential
    places = () if credential is None else credential.headers
    headers = []
    seen: set[str] = set()
    for key, value in head.headers:
        name = key.decode()
        if name in places and credential is not None:
            if name in seen:
                raise ForeignCredential(f"the header {name} is there twice")
            seen.add(name)
            text = _exchange_value(name, value.decode("latin-1"), credential, placeholder, secret)
            if secret:
                headers.append((key, text.encode()))
        elif _is_carrier(name):
            raise ForeignCredential(f"a credential in the header {name}, where none belongs")
        else:
            check_protocol(name, value.decode("latin-1"))
            headers.append((key, value))
    sent, dropped = select_headers(
        tuple(headers), (*places, *api.headers), may_ask_for_parts=not secret
    )
    parameters = frozenset(() if credential is None else credential.query)
    query, is_in_query = _exchange_query(head.query, parameters, placeholder, secret)
    has_secret = bool(seen) or is_in_query
    if credential is not None and not has_secret:
        for name, _ in read_query(head.query):
            if names_upload(name):
                raise ForeignCredential(f"the query parameter {name} without the placeholder")
    return Exchanged(sent, query, dropped, has_secret=has_secret)


def present(credential: Credential, secret: str) -> tuple[str, str]:
    """Return the header, name and value, with the credential for one of Airlock's own requests."""
    name = credential.headers[0]
    if name not in _WITH_SCHEME:
        return name, secret
    if credential.kind == "basic":
        return name, _write_basic(credential.user or "airlock", secret)
    return name, f"Bearer {secret}"


def make_placeholder(form: str, key: bytes, name: str) -> str:
    """Derive the placeholder of the API `name` from an agent's `key`; deterministic.

    In `form` `{36}` expands to as many letters and digits; if the text before it is in capitals, as
    in `AKIA{16}`, to capitals and the digits 2 to 7.
    """
    letters = _CAPITALS if form.partition("{")[0].isupper() else _LETTERS
    number = 0

    def fill(found: "re.Match[str]") -> str:
        nonlocal number
        made = ""
        while len(made) < int(found[1]):
            block = hmac.digest(key, f"{name}\0{form}\0{number}".encode(), "sha256")
            number += 1
            # Skip bytes that would favour the first letters.
            made += "".join(
                letters[byte % len(letters)] for byte in block if byte < 256 - 256 % len(letters)
            )
        return made[: int(found[1])]

    return _LENGTH.sub(fill, form)


def find_form_problem(form: str) -> str | None:
    """Return why `form` is no form of a placeholder; None if it is valid."""
    if sum(int(found[1]) for found in _LENGTH.finditer(form)) < 16:
        return "has less than 16 characters to fill, so that it could be guessed"
    rest = _LENGTH.sub("", form)
    if not re.fullmatch(r"[A-Za-z0-9._~+/=-]*", rest):
        return "has more than letters, digits, . _ ~ + / = - and lengths such as {36}"
    return None


def _exchange_value(
    name: str, value: str, credential: Credential, placeholder: str, secret: str
) -> str:
    if name not in _WITH_SCHEME:
        if not _is_same(value, placeholder):
            raise _foreign(f"the header {name}")
        return secret
    scheme, _, given = value.partition(" ")
    if credential.kind == "basic":
        if scheme.lower() != "basic":
            raise _foreign("the header authorization, which is Basic here,")
        return _exchange_basic(given, credential, placeholder, secret)
    if scheme.lower() not in _SCHEMES or not _is_same(given, placeholder):
        raise _foreign("the header authorization")
    return f"{scheme} {secret}"


def _exchange_basic(given: str, credential: Credential, placeholder: str, secret: str) -> str:
    try:
        user, _, password = base64.b64decode(given, validate=True).decode().partition(":")
    except (binascii.Error, ValueError):
        raise _foreign("the header authorization") from None
    if not _is_same(password, placeholder) or (credential.user and user != credential.user):
        raise _foreign("the header authorization")
    return _write_basic(user, secret)


def _write_basic(user: str, password: str) -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


@functools.lru_cache(maxsize=4096)
def _is_carrier(name: str) -> bool:
    # Some servers treat _ and - as the same.
    return _CARRIER.search(name.replace("_", "-")) is not None


def _exchange_query(
    query: str, places: frozenset[str], placeholder: str, secret: str
) -> tuple[str, bool]:
    """Return the query with the secret, and whether it had the placeholder."""
    if not query:
        return query, False
    decoded = read_query(query)
    carriers = _QUERY_CARRIERS.union(map(reduce_name, places))
    for name, value in decoded:
        if name in places:
            if not _is_same(value, placeholder):
                raise _foreign(f"the query parameter {name}")
        elif (plain := reduce_name(name)) in carriers or plain.endswith(_QUERY_ENDS):
            raise ForeignCredential(
                f"a credential in the query parameter {name}, where none belongs"
            )
    if not places & {name for name, _ in decoded}:
        return query, False
    pairs = ((name, secret if name in places else value) for name, value in decoded)
    # As the search of answers looks for it, in those that repeat their own URL.
    quote = functools.partial(urllib.parse.quote, safe="")
    return "&".join(f"{quote(name)}={quote(value)}" for name, value in pairs), True


def _is_same(given: str, placeholder: str) -> bool:
    return bool(placeholder) and hmac.compare_digest(given.encode(), placeholder.encode())


def _foreign(where: str) -> ForeignCredential:
    return ForeignCredential(f"{where} has a credential that is not the placeholder of this agent")
