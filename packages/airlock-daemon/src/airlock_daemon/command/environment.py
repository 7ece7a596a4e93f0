"""The environment of a tool, built from nothing: what no rule names does not get in."""

import os
from collections.abc import Mapping

from airlock_daemon.setup.profile import Profile
from airlock_modules import Module, select_forwarded

_PROXIES = ("http_proxy", "https_proxy", "ftp_proxy", "all_proxy", "no_proxy")

BASE = frozenset(
    (
        *("PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "SHELL"),
        *("SSL_CERT_FILE", "SSL_CERT_DIR"),
        *_PROXIES,
        *(name.upper() for name in _PROXIES),
    )
)


def build_environment(
    module: Module,
    profile: Profile,
    *,
    daemon: Mapping[str, str],
    search_path: str,
    client: Mapping[str, str] = {},
    term: str | None = None,
    root: str | None = None,
    is_boxed: bool = False,
) -> dict[str, str]:
    """Build the variables of a command of `module`.

    In this order, the later one winning: the base and what the module inherits, from `daemon`; what
    the module forwards, from `client`; the profile's `[env] set`; the module's `strip`, which
    removes; the module's `set`; and for git outside of a box the protocols that the profile grants,
    and `root` as the highest directory in which it may find a repository, None for any.
    `search_path` is PATH, and `term` is TERM, None where the tool has no terminal. Values are
    taken as they are, but for a locale or time zone of the client's that could be a file: it is
    left out.
    """
    environment = {
        name: value
        for name, value in daemon.items()
        if name in BASE or name.startswith("LC_") or name in module.inherit
    }
    environment["PATH"] = search_path
    if term:
        environment["TERM"] = term
    environment.update(select_forwarded(client, module.forward))
    environment.update(profile.env)
    for name in module.strip:
        environment.pop(name, None)
    environment.update(module.set)
    if module.name != "git" or is_boxed:
        return environment
    if profile.git_protocols is not None:
        environment["GIT_ALLOW_PROTOCOL"] = ":".join(profile.git_protocols)
    if root is not None:
        # Above it could lie a repository of the human's own.
        environment["GIT_CEILING_DIRECTORIES"] = os.path.dirname(root)
    return environment
