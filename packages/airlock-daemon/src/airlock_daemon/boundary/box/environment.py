"""The environment of a tool in a box: nothing of the human's, and nothing that a broker uses."""

import functools
import os
import re
from collections.abc import Mapping

from airlock_daemon.boundary.box.box import HOME, TMP, Box, Made, System
from airlock_daemon.boundary.box.listeners import listener_variables
from airlock_daemon.boundary.box.system import SYSTEM
from airlock_daemon.boundary.box.transports import transport_variables
from airlock_daemon.setup.reserved import is_within

_HARMLESS = (
    r"(?:AWS_(?:(?:DEFAULT_)?REGION|DEFAULT_OUTPUT|MAX_ATTEMPTS|PAGER|RETRY_MODE)"
    r"|DOCKER_(?:CONTENT_TRUST(?:_SERVER)?|DEFAULT_PLATFORM))"
)
# Of those that brokers use, or that lead to a credential or an agent of the human's.
_WITHHELD = re.compile(
    rf"(?!{_HARMLESS}$)"
    r"(?:(?:http|https|ftp|all|no)_proxy|AWS_.*|SSH_.*|GIT_SSH(?:_COMMAND|_VARIANT)?|GIT_ASKPASS"
    r"|DOCKER_.*|KUBECONFIG|GPG_AGENT_INFO|DBUS_.*|XDG_RUNTIME_DIR|DISPLAY|WAYLAND_DISPLAY)",
    re.IGNORECASE,
)

# The answer is remembered for names that are no longer: those of clients take any amount of memory.
_KEPT = 64

# What a tool knows of its user by its environment.
_OWN = {
    "HOME": HOME,
    "USER": "airlock",
    "LOGNAME": "airlock",
    "SHELL": "/bin/sh",
    "TMPDIR": TMP,
}


def is_withheld(name: str) -> bool:
    """Whether a box has no variable of this name, wherever it would come from."""
    return _remember(name) if len(name) <= _KEPT else _match(name)


def _match(name: str) -> bool:
    return _WITHHELD.fullmatch(name) is not None


_remember = functools.lru_cache(maxsize=512)(_match)


def adapt_daemon(environment: Mapping[str, str], box: Box) -> dict[str, str]:
    """The daemon's environment, as the tool of a box may inherit from it.

    With the host's network it has the host's proxies too, if these ask for no password.
    """
    if not box.has_network:
        return {name: value for name, value in environment.items() if not is_withheld(name)} | _OWN
    own = {"HOME": HOME if box.home is None else box.home.path, "TMPDIR": TMP}
    is_secret = re.compile(r"(?:http|https|ftp|all)_proxy", re.IGNORECASE).fullmatch
    return {
        name: value for name, value in environment.items() if not (is_secret(name) and "@" in value)
    } | own


def adapt_variables(
    environment: Mapping[str, str], box: Box, *, more: Mapping[str, str]
) -> dict[str, str]:
    """What a tool in a box gets of variables that were built by all the rules, and what leads it to
    its files, its listeners and the brokers that it may ask; `more` stays whatever it is called.

    In the human's home these rules would be of no use to a wall: what files name for it, it has.
    """
    kept = {
        name: value
        for name, value in environment.items()
        if box.has_network or not is_withheld(name)
    }
    made = (each for each in box.operations if isinstance(each, Made))
    files = {each.variable: each.target for each in made if each.variable}
    asked = transport_variables(box.asks) | listener_variables(box.listeners)
    return {**kept, **more, **files, **asked}


def adapt_path(path: str, box: Box) -> str:
    """The entries of a PATH that lead anywhere in `box`."""
    return _keep_shown(
        path, (*SYSTEM, *(each.target for each in box.operations if isinstance(each, System)))
    )


@functools.lru_cache(maxsize=64)
def _keep_shown(path: str, shown: tuple[str, ...]) -> str:
    entries = path.split(os.pathsep)
    return os.pathsep.join(e for e in entries if any(is_within(e, place) for place in shown))
