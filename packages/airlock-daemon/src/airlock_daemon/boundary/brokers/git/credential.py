"""Finds the human's credential for a URL by git's credential helpers (gitcredentials(7)).

Helpers are queried for a host without a user, from an empty directory. They never learn whether
their answer was used, nor what the server answered.
"""

import base64
import re
import secrets
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import msgspec

from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.errors import Denied, Failed
from airlock_modules import Destination
from airlock_wire import quote

_NAMED = re.compile(r"credential\.(?P<url>.+)\.helper", re.DOTALL)
# Exit statuses of git config: found, and not found.
_ANSWERS = (0, 1)


class Helpers(msgspec.Struct, frozen=True):
    """The credential helpers for one URL.

    `named`, in query order, are configured for its host; `is_any_asked`: others may be queried too.
    """

    named: tuple[str, ...]
    is_any_asked: bool


async def query_settings(
    url: str, git: str, requester: Requester, *, section: str = "http"
) -> Mapping[str, str]:
    """The settings of a section that apply to `url`, by lower-case name."""
    words = ("git", "config", "--null", "--get-urlmatch", section, url)
    pairs = await _ask(git, words, requester)
    return {key.removeprefix(f"{section}."): value for key, value in pairs}


async def query_helpers(destination: Destination, git: str, requester: Requester) -> Helpers:
    """The credential helpers for a destination."""
    words = ("git", "config", "--null", "--get-regexp", r"^credential\.(.*\.)?helper$")
    return read_helpers(await _ask(git, words, requester), destination)


async def _ask(
    git: str, words: tuple[str, ...], requester: Requester
) -> tuple[tuple[str, str], ...]:
    status, said = await requester.run_program(git, words)
    if status not in _ANSWERS:
        raise Failed(
            f"git on the host does not say how it is configured (exit status {status})",
            hint="a person on the host can see why: git config --list",
        )
    return tuple(_read_pairs(said.decode("utf-8", "surrogateescape")))


def _read_pairs(printed: str) -> Iterator[tuple[str, str]]:
    for entry in printed.split("\0"):
        key, has_value, value = entry.partition("\n")
        if key:
            yield key, value if has_value else "true"


def read_helpers(pairs: tuple[tuple[str, str], ...], destination: Destination) -> Helpers:
    """Read all configured helpers in order; an empty value clears those before it."""
    named: list[str] = []
    is_any_asked = False
    for key, value in pairs:
        found = _NAMED.fullmatch(key)
        is_named = found is not None and _names(found["url"], destination)
        if not value and (is_named or found is None):
            named.clear()
            is_any_asked = False
        elif is_named:
            named.append(value)
        elif value and (found is None or not _is_elsewhere(found["url"])):
            is_any_asked = True
    return Helpers(tuple(named), is_any_asked)


def _names(url: str, destination: Destination) -> bool:
    """Whether a section's URL names this host itself, and no user."""
    if not _is_elsewhere(url):
        return False
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    path = parts.path.rstrip("/")
    is_port = parts.port == destination.port_number
    return (
        (parts.scheme, parts.username, host) == (destination.scheme, None, destination.host)
        and (destination.port is None if parts.port is None else is_port)
        and (not path or f"{destination.path}/".startswith(f"{path}/"))
    )


def _is_elsewhere(url: str) -> bool:
    """Whether a section's URL names one host, so that the section applies to that host only."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.scheme and parts.hostname) and "*" not in (parts.hostname or "*")


# No program may prompt the human: an agent must not be able to open a window.
_SILENT = {"GIT_ASKPASS": "", "GIT_TERMINAL_PROMPT": "0", "GCM_INTERACTIVE": "never"}
_CONTROL = re.compile(rb"[\x00-\x1f\x7f]")


async def find_authorization(destination: Destination, git: str, requester: Requester) -> str:
    """The value of an Authorization header for the destination.

    Raises Failed if no helper has a credential, Denied for an answer that cannot be meant for this
    host alone.
    """
    helpers = await query_helpers(destination, git, requester)
    more: Mapping[str, str] = _SILENT
    if helpers.is_any_asked and await _is_indiscriminate(destination, git, requester):
        if not helpers.named:
            raise Denied(
                "a credential helper of this host's git answers for hosts that do not exist, and "
                "is not asked for an agent",
                layer="broker",
                rule="credential-helper",
                hint="a person on the host can configure it for one host: git config --global "
                f"credential.{destination.scheme}://{host_of(destination)}.helper HELPER",
            )
        more = _SILENT | _only(helpers, destination)
    fields = await _fill(destination, host_of(destination), git, requester, more)
    if fields is None:
        raise Failed(
            f"no credential helper of this host's git has an account for {quote(destination.host)}",
            hint="a person on the host can store one with git credential approve, or have git use "
            "a helper: gitcredentials(7)",
        )
    return _compose(fields, destination)


def host_of(destination: Destination) -> str:
    """The host in git's credential protocol: with the port unless it is the scheme's default."""
    port = "" if destination.port is None else f":{destination.port}"
    return f"{destination.host}{port}"


async def _is_indiscriminate(destination: Destination, git: str, requester: Requester) -> bool:
    """Whether helpers have a credential even for a host that cannot exist (RFC 2606)."""
    invented = f"airlock-{secrets.token_hex(8)}.invalid"
    found = await _fill(destination, invented, git, requester, _SILENT)
    return found is not None


def _only(helpers: Helpers, destination: Destination) -> dict[str, str]:
    """Variables that make git query only the helpers named for this host (git(1))."""
    section = f"credential.{destination.scheme}://{host_of(destination)}.helper"
    pairs = [("credential.helper", ""), *((section, helper) for helper in helpers.named)]
    variables = {"GIT_CONFIG_COUNT": str(len(pairs))}
    for number, (key, value) in enumerate(pairs):
        variables[f"GIT_CONFIG_KEY_{number}"] = key
        variables[f"GIT_CONFIG_VALUE_{number}"] = value
    return variables


async def _fill(
    destination: Destination, host: str, git: str, requester: Requester, more: Mapping[str, str]
) -> Mapping[bytes, bytes] | None:
    """Read the answer of `git credential fill`; None if it lacks a user or password."""
    path = destination.path.lstrip("/")
    said = f"protocol={destination.scheme}\nhost={host}\npath={path}\n\n".encode()
    status, printed = await requester.run_program(
        git, ("git", "credential", "fill"), said=said, more=more
    )
    if status != 0:
        return None
    fields: dict[bytes, bytes] = {}
    for line in printed.removesuffix(b"\n").split(b"\n"):
        key, _, value = line.partition(b"=")
        if key in fields and not key.endswith(b"[]"):
            raise _unfit(f"names {quote(key.decode('ascii', 'replace'), limit=40)} twice")
        fields[key] = value
    if b"username" not in fields or b"password" not in fields:
        return None
    for key, asked in ((b"protocol", destination.scheme), (b"host", host)):
        if fields.get(key) != asked.encode():
            raise _unfit("is for another server than was asked for")
    return fields


def _compose(fields: Mapping[bytes, bytes], destination: Destination) -> str:
    user, password = fields[b"username"], fields[b"password"]
    if _CONTROL.search(user) or _CONTROL.search(password):
        raise _unfit(f"holds control characters for {quote(destination.host)}")
    if b":" in user:
        raise _unfit("names a user with a colon, which HTTP cannot say")
    return "Basic " + base64.b64encode(user + b":" + password).decode()


def _unfit(why: str) -> Denied:
    return Denied(
        f"the answer of a credential helper is not used: it {why}",
        layer="broker",
        rule="credential",
        hint="a person on the host can see what helpers answer: git credential fill",
    )
