"""The arguments that git gives ssh: options, a destination, and one remote command.

Other programs that fetch and push (libgit2, dulwich, go-git) call ssh with other arguments, which
are converted to git's.
"""

import re
from collections.abc import Sequence
from typing import Literal

from airlock_modules.remotes.destination import (
    Destination,
    RemoteError,
    read_host,
    read_path,
    read_port,
    read_user,
)
from airlock_modules.remotes.git_protocol import SERVICES, RemoteRequest, Service
from airlock_modules.remotes.session_words import Session, read_session_words
from airlock_wire.text import quote

# A quote or ! in the path would be escaped; read_path refuses both, and the backslash.
_COMMAND = re.compile(r"(git-[a-z-]+) '(.*)'", re.DOTALL)
_DESTINATION = 2
# Includes equivalent forms that git servers accept. The path is one shell word without special
# characters.
_TRANSPORT = re.compile(
    r"git[ -](?P<service>(?:upload|receive)-pack) "
    r"(?:'(?P<quoted>[^']+)'|(?P<plain>[A-Za-z0-9._/+~@:-]+))"
)
# Quoting that a shell removes.
_QUOTING = re.compile(r"['\"\\]")
# git-shell and forges split at any white space.
_SERVICE = re.compile(r"git[\s-]+(?:(?:upload|receive)-pack|upload-archive|shell\b)", re.IGNORECASE)
# Of forges, and of their shells: each answers with a token or with codes that replace a password.
_TOKEN = re.compile(
    r"git[\s-]+lfs-(?:authenticate|transfer)\b"
    r"|\b(?:personal_access_token|2fa_recovery_codes|2fa_verify)\b",
    re.IGNORECASE,
)


def find_transport(words: Sequence[str]) -> tuple[str, ...] | None:
    """Convert ssh arguments to those of git; None if they are no fetch or push.

    ssh's connection options are dropped: the broker sets them.
    """
    try:
        asked = read_session_words(words)
    except RemoteError:
        return None
    if not isinstance(asked, Session) or asked.is_subsystem or asked.has_no_input:
        return None
    found = _TRANSPORT.fullmatch(asked.command or "")
    if found is None or asked.terminal in ("yes", "force"):
        return None
    login = asked.login
    return (
        *(() if asked.family is None else (f"-{asked.family}",)),
        *(("-o", "SendEnv=GIT_PROTOCOL") if "GIT_PROTOCOL" in asked.sends else ()),
        *(() if login.port is None else ("-p", str(login.port))),
        login.host if login.user is None else f"{login.user}@{login.host}",
        f"git-{found['service']} '{found['quoted'] or found['plain']}'",
    )


def names_transport(command: str) -> bool:
    """Whether a session's command may be a remote git command, in any spelling."""
    return _SERVICE.search(_QUOTING.sub("", command)) is not None


def asks_for_token(command: str) -> bool:
    """Whether a session's command may have a forge answer with a credential, in any spelling."""
    return _TOKEN.search(_QUOTING.sub("", command)) is not None


def read_ssh_words(words: Sequence[str]) -> RemoteRequest:
    """Parse git's arguments to ssh (GIT_SSH_VARIANT=ssh). Raises RemoteError for any others."""
    port: str | None = None
    family: Literal[4, 6] | None = None
    sends_protocol = False
    rest = list(words)
    while rest and rest[0].startswith("-"):
        option = rest.pop(0)
        if option in ("-4", "-6"):
            family = 4 if option == "-4" else 6
        elif option == "-p" and rest:
            port = rest.pop(0)
        elif option == "-o" and rest and rest[0] == "SendEnv=GIT_PROTOCOL":
            rest.pop(0)
            sends_protocol = True
        else:
            raise RemoteError(
                f"{quote(option, limit=80)} is no option that git gives ssh", rule="words"
            )
    if len(rest) != _DESTINATION:
        raise RemoteError("git gives its ssh a destination and one command", rule="words")
    user, at, host = rest[0].rpartition("@")
    service, path = _read_command(rest[1])
    return RemoteRequest(
        destination=Destination(
            scheme="ssh",
            user=read_user(user) if at else None,
            host=read_host(host),
            port=None if port is None else read_port(port, "ssh"),
            path=read_path(path),
        ),
        service=service,
        family=family,
        sends_protocol=sends_protocol,
    )


def _read_command(text: str) -> tuple[Service, str]:
    if text.startswith("git-lfs-"):
        # git-lfs-authenticate returns a token; git-lfs-transfer is its successor.
        raise RemoteError(
            "large files of Git LFS pass by its transfer agent alone, which airlock-shim "
            "--install-git sets up in an image; GIT_LFS_SKIP_SMUDGE=1 leaves them out",
            rule="lfs",
        )
    found = _COMMAND.fullmatch(text)
    if found is None:
        raise RemoteError(f"{quote(text, limit=80)} is no command that git gives ssh", rule="words")
    service = SERVICES.get(found[1])
    if service is None:
        raise RemoteError(f"{found[1]} is not passed on", rule="service")
    return service, found[2]


# scheme://[user@]host[:port]/path, and [user@]host:path.
_URL = re.compile(r"(?P<scheme>ssh|git\+ssh|ssh\+git|https|http)://(?P<rest>.+)", re.DOTALL)
_AUTHORITY = re.compile(r"(?P<login>(?:[^@/]*@)?(?:\[[^\]]*\]|[^:/]*))(?::(?P<port>[^/]*))?")
_SHORT = re.compile(r"(?P<login>(?:[^@/:]*@)?(?:\[[^\]]*\]|[^:/\[\]]+)):(?P<path>.+)", re.DOTALL)


def name_transport(url: str, service: str) -> tuple[str, ...]:
    """Return git-remote's arguments for `url` and `service`, () if it is no such URL."""
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
