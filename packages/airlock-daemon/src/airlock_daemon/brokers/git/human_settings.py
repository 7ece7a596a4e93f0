"""What the human's git has configured for a URL (git-config(1)): `http.*`, and helpers."""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import msgspec

from airlock_daemon.brokers.requester import Requester
from airlock_daemon.errors import Failed
from airlock_modules import Destination

_NAMED = re.compile(r"credential\.(?P<url>.+)\.helper", re.DOTALL)
# What git config answers: something, or nothing of that name.
_ANSWERS = (0, 1)


class Helpers(msgspec.Struct, frozen=True):
    """The credential helpers for one URL: `named` in the order in which they are asked.

    Those belong to its host by name; `is_any_asked` says that others may be asked too.
    """

    named: tuple[str, ...]
    is_any_asked: bool


async def ask_settings(
    url: str, git: str, requester: Requester, *, section: str = "http"
) -> Mapping[str, str]:
    """The settings of a section that hold for `url`, by the lower case name of each."""
    words = ("git", "config", "--null", "--get-urlmatch", section, url)
    pairs = await _ask(git, words, requester)
    return {key.removeprefix(f"{section}."): value for key, value in pairs}


async def ask_helpers(destination: Destination, git: str, requester: Requester) -> Helpers:
    """The credential helpers for a destination."""
    words = ("git", "config", "--null", "--get-regexp", r"^credential\.(.*\.)?helper$")
    return read_helpers(await _ask(git, words, requester), destination)


async def _ask(
    git: str, words: tuple[str, ...], requester: Requester
) -> tuple[tuple[str, str], ...]:
    status, said = await requester.ask(git, words)
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
    """Read all helpers that are configured, in their order; an empty one undoes those before."""
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
    """Whether the URL of a section names this host, and no user, by itself."""
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
    """Whether the URL of a section is one of a certain host, so that it holds there alone."""
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        return False
    return bool(parts.scheme and parts.hostname) and "*" not in (parts.hostname or "*")
