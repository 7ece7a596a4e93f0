"""The URLs by which git names a remote (git-clone(1), GIT URLS), as words of its transports."""

import re

# scheme://[user@]host[:port]/path, and [user@]host:path.
_URL = re.compile(r"(?P<scheme>ssh|git\+ssh|ssh\+git|https|http)://(?P<rest>.+)", re.DOTALL)
_AUTHORITY = re.compile(r"(?P<login>(?:[^@/]*@)?(?:\[[^\]]*\]|[^:/]*))(?::(?P<port>[^/]*))?")
_SHORT = re.compile(r"(?P<login>(?:[^@/:]*@)?(?:\[[^\]]*\]|[^:/\[\]]+)):(?P<path>.+)", re.DOTALL)


def name_transport(url: str, service: str) -> tuple[str, ...]:
    """The words of git-remote for `url` and `service`; none for what is no such URL."""
    found = _URL.fullmatch(url)
    if found is not None and found["scheme"] in ("https", "http"):
        return (found["scheme"], "origin", url)
    if found is None:
        short = _SHORT.fullmatch(url)
        if short is None:
            return ()
        return _ssh_words(short["login"], None, short["path"], service)
    authority, _, path = found["rest"].partition("/")
    login = _AUTHORITY.fullmatch(authority)
    if login is None:
        return ()
    path = path if path.startswith("~") else f"/{path}"
    return _ssh_words(login["login"], login["port"], path, service)


def _ssh_words(login: str, port: str | None, path: str, service: str) -> tuple[str, ...]:
    where = () if port is None else ("-p", port)
    return ("ssh", *where, login.replace("[", "").replace("]", ""), f"{service} '{path}'")
