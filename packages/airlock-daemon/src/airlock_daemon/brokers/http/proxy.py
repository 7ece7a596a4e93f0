"""The human's proxy, as git would find it: `http.proxy`, or the variables that curl knows."""

import base64
import ipaddress
import re
from collections.abc import Mapping
from contextlib import suppress
from urllib.parse import unquote_to_bytes

import msgspec

from airlock_daemon.errors import Failed
from airlock_wire import quote

# Where a proxy's URL names no port (curl(1), --proxy).
_PORT = 1080
_PROXY = re.compile(
    r"(?:(?P<scheme>[a-z0-9]+)://)?(?:(?P<user>[^@/]*)@)?"
    r"(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::(?P<port>[0-9]{1,5}))?/?"
)


class Proxy(msgspec.Struct, frozen=True, kw_only=True):
    """A proxy that is asked by CONNECT. `authorization` is what it is told, None for nothing."""

    host: str
    port: int
    authorization: str | None


def find_proxy(
    configured: str | None, variables: Mapping[str, str], *, scheme: str, host: str
) -> Proxy | None:
    """The proxy for a host, None where it is reached without one.

    `configured` is `http.proxy` for the URL, None where git has none; an empty text means none.
    Raises Failed for one of a kind that is not spoken, without quoting its password.
    """
    url = configured
    for name in _names(scheme):
        url = variables.get(name) if url is None else url
    exempt = variables.get("no_proxy", variables.get("NO_PROXY", ""))
    if not url or is_exempt(exempt, host):
        return None
    return _read(url)


def _names(scheme: str) -> tuple[str, ...]:
    # curl does not read HTTP_PROXY: in CGI that is a header of the client's.
    upper = ("HTTPS_PROXY",) if scheme == "https" else ()
    return (f"{scheme}_proxy", *upper, "all_proxy", "ALL_PROXY")


def is_exempt(exempt: str, host: str) -> bool:
    """Whether a `no_proxy` names a host: `*`, names with all below them, addresses and networks."""
    name = host.strip("[]").rstrip(".").lower()
    for entry in re.split(r"[,\s]+", exempt.lower()):
        rule = entry.strip("[]").strip(".")
        if entry == "*" or (rule and (name == rule or name.endswith(f".{rule}"))):
            return True
        with suppress(ValueError):
            if ipaddress.ip_address(name) in ipaddress.ip_network(rule, strict=False):
                return True
    return False


def _read(url: str) -> Proxy:
    found = _PROXY.fullmatch(url)
    if found is None or (found["scheme"] or "http") != "http":
        kind = quote(url.partition("://")[0], limit=20) if "://" in url else "what it names"
        raise Failed(
            f"the proxy of this host cannot be used: {kind} is no kind that is spoken",
            hint="a person on the host can name one like http://proxy.example.com:3128 in "
            "http.proxy of git, or in https_proxy of the daemon",
        )
    authorization = None
    if found["user"] is not None:
        user, _, password = found["user"].partition(":")
        words = unquote_to_bytes(user) + b":" + unquote_to_bytes(password)
        authorization = "Basic " + base64.b64encode(words).decode()
    port = int(found["port"] or _PORT)
    return Proxy(host=found["host"].strip("[]"), port=port, authorization=authorization)
