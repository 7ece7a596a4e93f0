"""The words that git gives the helper of a URL: the name of a remote, and the URL."""

import re
from collections.abc import Sequence

from airlock_modules.remotes.destination import (
    Destination,
    Scheme,
    read_host,
    read_path,
    read_port,
    read_user,
)
from airlock_modules.remotes.errors import RemoteError
from airlock_wire.text import quote

_URL = re.compile(
    r"(?P<scheme>https|http)://(?:(?P<user>[^@/]*)@)?"
    r"(?P<host>\[[^\]/@]*\]|[^:/@\[\]]*)(?::(?P<port>[^/@]*))?(?P<path>/.*)",
    re.DOTALL,
)
_NOT_IN_URLS = {"%": "a percent sign", "?": "a question mark", "#": "a number sign"}
_NAME_AND_URL = 2


def read_url_words(scheme: str, words: Sequence[str]) -> Destination:
    """Read what git gives `git-remote-https` or `git-remote-http`: `scheme` is https or http.

    Raises RemoteError.

    The name of the remote says nothing that counts. That of a user in the URL is looked at and left
    out: which of the human's accounts is used is not the client's to choose.
    """
    if len(words) != _NAME_AND_URL:
        raise RemoteError("git gives the helper of a URL a name and the URL", rule="words")
    found = _URL.fullmatch(words[1])
    if found is None or found["scheme"] != scheme:
        raise RemoteError(f"what git gives {scheme} is not such a URL with a path", rule="url")
    if ":" in (found["user"] or ""):
        raise RemoteError(
            "a URL may hold no password; git remote set-url NAME URL takes it out", rule="password"
        )
    if found["user"] is not None:
        read_user(found["user"])
    for character, name in _NOT_IN_URLS.items():
        if character in found["path"]:
            shown = quote(found["path"].partition("?")[0], limit=80)
            raise RemoteError(f"the path {shown} holds {name}, which is not passed on", rule="path")
    kind: Scheme = "https" if scheme == "https" else "http"
    return Destination(
        scheme=kind,
        user=None,
        host=read_host(found["host"]),
        port=None if found["port"] is None else read_port(found["port"], kind),
        path=read_path(found["path"]),
    )
