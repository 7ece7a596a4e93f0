"""The environment of a boxed tool, without variables of the human or of brokers."""

import functools
import os
import re
from collections.abc import Mapping

from airlock_daemon.boundary.box.box import HOME, TMP, Box, Made, System
from airlock_daemon.boundary.box.listeners import listener_variables
from airlock_daemon.boundary.box.system import SYSTEM
from airlock_daemon.boundary.box.transports import transport_variables
from airlock_daemon.boundary.command import build_environment
from airlock_daemon.path_text import is_within
from airlock_daemon.setup.generation import Profile
from airlock_modules import Module

_HARMLESS = (
    r"(?:AWS_(?:(?:DEFAULT_)?REGION|DEFAULT_OUTPUT|MAX_ATTEMPTS|PAGER|RETRY_MODE)"
    r"|DOCKER_(?:API_VERSION|CLI_HINTS|DEFAULT_PLATFORM))"
)
# Variables that brokers use, or that lead to a credential or an agent process of the human.
_WITHHELD = re.compile(
    rf"(?!{_HARMLESS}$)"
    r"(?:(?:http|https|ftp|all|no)_proxy|AWS_.*|SSH_.*|GIT_SSH(?:_COMMAND|_VARIANT)?|GIT_ASKPASS"
    r"|DOCKER_.*|KUBECONFIG|GPG_AGENT_INFO|DBUS_.*|XDG_RUNTIME_DIR|DISPLAY|WAYLAND_DISPLAY)",
    re.IGNORECASE,
)

# Results are cached only for names up to this length: clients could send names of any size.
_KEPT = 64

# The user's properties in the tool's environment.
_OWN = {
    "HOME": HOME,
    "USER": "airlock",
    "LOGNAME": "airlock",
    "SHELL": "/bin/sh",
    "TMPDIR": TMP,
}


def is_withheld(name: str) -> bool:
    """Whether a box never has a variable of this name, whatever its source."""
    return _remember(name) if len(name) <= _KEPT else _match(name)


def _match(name: str) -> bool:
    return _WITHHELD.fullmatch(name) is not None


_remember = functools.lru_cache(maxsize=512)(_match)


def build_boxed_environment(
    module: Module,
    profile: Profile,
    box: Box,
    *,
    daemon: Mapping[str, str],
    search_path: str,
    client: Mapping[str, str],
    term: str | None,
) -> dict[str, str]:
    """As `build_environment`, for a command in `box`."""
    variables = build_environment(
        module,
        profile,
        daemon=_adapt_daemon(daemon, box),
        search_path=_adapt_path(search_path, box),
        client=client,
        term=term,
        is_boxed=True,
    )
    return _adapt_variables(variables, box)


def _adapt_daemon(environment: Mapping[str, str], box: Box) -> dict[str, str]:
    """The part of the daemon's environment that a boxed tool inherits.

    With the host's network this includes the host's proxies unless their URLs have a password.
    """
    if not box.has_network:
        return {name: value for name, value in environment.items() if not is_withheld(name)} | _OWN
    own = {"HOME": HOME if box.home is None else box.home.path, "TMPDIR": TMP}
    is_secret = re.compile(r"(?:http|https|ftp|all)_proxy", re.IGNORECASE).fullmatch
    return {
        name: value for name, value in environment.items() if not (is_secret(name) and "@" in value)
    } | own


def _adapt_variables(environment: Mapping[str, str], box: Box) -> dict[str, str]:
    """The tool's variables after all rules, with those for its files, listeners and brokers.

    With the human's home nothing is withheld: the tool can read what these variables point to.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if box.has_network or not is_withheld(name)
    }
    made = (each for each in box.operations if isinstance(each, Made))
    files = {each.variable: each.target for each in made if each.variable}
    asked = transport_variables(box.requests) | listener_variables(box.listeners)
    return {**kept, **files, **asked}


def _adapt_path(path: str, box: Box) -> str:
    """The entries of a PATH that exist in `box`."""
    return _keep_shown(
        path, (*SYSTEM, *(each.target for each in box.operations if isinstance(each, System)))
    )


@functools.lru_cache(maxsize=64)
def _keep_shown(path: str, shown: tuple[str, ...]) -> str:
    entries = path.split(os.pathsep)
    return os.pathsep.join(e for e in entries if any(is_within(e, place) for place in shown))
