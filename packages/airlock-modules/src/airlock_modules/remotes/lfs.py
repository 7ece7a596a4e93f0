"""Messages of Git LFS: from its transfer agent, and from LFS servers.

The agent is the shim, which git-lfs starts in the container. It requests one object at a time and
learns nothing of the server: neither its URLs nor the requests to them. Servers answer by the batch
API and by `git-lfs-authenticate` (docs/api of git-lfs).
"""

import re
from collections.abc import Mapping, Sequence
from typing import Literal, TypeVar

import msgspec
from msgspec import Struct

from airlock_modules.remotes.destination import (
    Destination,
    RemoteError,
    Scheme,
    read_host,
    read_path,
    read_port,
    read_url_words,
)
from airlock_modules.remotes.git_protocol import RemoteRequest, Service
from airlock_modules.remotes.ssh_words import name_transport, read_ssh_words
from airlock_wire.text import quote

Operation = Literal["download", "upload"]

BASIC = "basic"
"""The transfer adapter that every server and client supports: one request per object."""

_SERVICES: Mapping[str, tuple[Operation, Service]] = {
    "download": ("download", "git-upload-pack"),
    "upload": ("upload", "git-receive-pack"),
}
_KINDS = ("remote", "server")
_API = "/info/lfs"
_WANTED = re.compile(
    r"(?P<operation>download|upload) (?P<oid>[0-9a-f]{64}) (?P<size>0|[1-9][0-9]{0,17})"
)
_HREF = re.compile(
    r"(?P<scheme>https?)://(?P<host>\[[^\]/@]*\]|[^:/?@\[\]]*)(?::(?P<port>[0-9]*))?"
    r"(?P<target>[/?][\x21\x22\x24-\x7e]*)?"
)
_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
# Leading and trailing blanks are not part of a value (RFC 9110, 5.5); no HTTP client sends them.
_VALUE = re.compile(r"(?:[\x21-\x7e](?:[\x20-\x7e\t]*[\x21-\x7e])?)?")
# A server must not choose a request's framing or destination.
_OWN_HEADERS = frozenset(
    {
        *("accept-encoding", "connection", "content-length", "expect", "host", "keep-alive"),
        *("proxy-authorization", "proxy-connection", "te", "trailer", "transfer-encoding"),
        "upgrade",
    }
)


class LfsRequest(Struct, frozen=True, kw_only=True):
    """An agent's request to download or upload objects.

    `asked` is the fetch or push that it belongs to, `words` the arguments of its transport.
    `api_path` is the path of the LFS API on an https remote, as sent.
    """

    operation: Operation
    asked: RemoteRequest
    words: tuple[str, ...]
    api_path: str


class Wanted(Struct, frozen=True, kw_only=True):
    """One object: the SHA-256 of its content in hexadecimal, and its size in bytes."""

    operation: Operation
    oid: str
    size: int


class Href(Struct, frozen=True, kw_only=True):
    """A URL from a server. `target` is path and query, as sent."""

    scheme: Scheme
    host: str
    port: int | None
    target: str

    def __str__(self) -> str:
        """The URL as text."""
        return f"{self.scheme}://{self.authority}{self.target}"

    @property
    def authority(self) -> str:
        """Host and port, as in a request's Host header."""
        return self.host if self.port is None else f"{self.host}:{self.port}"

    @property
    def destination(self) -> Destination | None:
        """Its destination without the query; None for a path that no grant can name."""
        try:
            path = read_path(self.target.partition("?")[0])
        except RemoteError:
            return None
        return Destination(scheme=self.scheme, user=None, host=self.host, port=self.port, path=path)


class Action(Struct, frozen=True, kw_only=True):
    """A request that a server told the client to send: URL and headers."""

    href: Href
    headers: tuple[tuple[str, str], ...] = ()


class Offer(Struct, frozen=True, kw_only=True):
    """A server's offer for one object: `transfer` is None if it already has the upload.

    `verify` is to be requested after an upload.
    """

    transfer: Action | None = None
    verify: Action | None = None


class Refusal(Struct, frozen=True, kw_only=True):
    """A server's error for one object, with its unabridged message."""

    code: int
    said: str


class _Action(Struct):
    href: str
    header: dict[str, str] | None = None


class _Fault(Struct):
    code: int = 0
    message: str = ""


class _Object(Struct):
    oid: str
    actions: dict[str, _Action] | None = None
    error: _Fault | None = None


class _Batch(Struct):
    objects: list[_Object]
    transfer: str | None = None


class _Login(Struct):
    href: str = ""
    header: dict[str, str] | None = None


class _Message(Struct):
    message: str


def read_lfs_words(words: Sequence[str]) -> LfsRequest:
    """Parse the agent's arguments to git-remote: `download|upload remote|server URL`.

    The URL is that of a git remote, or the server of `lfs.url`. Raises RemoteError.
    """
    operation, kind, url = (*words, "", "", "")[:3]
    if len(words) != 3 or operation not in _SERVICES or kind not in _KINDS:
        raise RemoteError("these are no words of the agent of Git LFS", rule="words")
    name, service = _SERVICES[operation]
    is_server = kind == "server"
    url = url.rstrip("/")
    repository = url.removesuffix(_API) if is_server else url
    transport = name_transport(repository, service)
    if not transport:
        raise RemoteError(
            f"{quote(url, limit=80)} is no URL of ssh or https, by which large files are reached",
            rule="url",
        )
    if transport[0] == "ssh":
        asked = read_ssh_words(transport[1:])
        return LfsRequest(operation=name, asked=asked, words=transport, api_path="")
    destination = read_url_words(transport[0], transport[1:])
    path = destination.path
    if not is_server:
        path = f"{path.removesuffix('.git')}.git{_API}"
    elif url != repository:
        path += _API
    return LfsRequest(
        operation=name,
        asked=RemoteRequest(destination=destination, service=service),
        words=transport,
        api_path=path,
    )


def read_wanted(line: bytes) -> Wanted:
    """Parse a line from the agent, without its newline. Raises RemoteError."""
    found = _WANTED.fullmatch(line.decode("ascii", "replace"))
    if found is None:
        raise RemoteError("the agent of Git LFS asks for no object", rule="lfs")
    operation: Operation = "upload" if found["operation"] == "upload" else "download"
    return Wanted(operation=operation, oid=found["oid"], size=int(found["size"]))


def compose_batch(wanted: Wanted) -> bytes:
    """Return the batch API request for one object."""
    return msgspec.json.encode(
        {
            "operation": wanted.operation,
            "transfers": [BASIC],
            "objects": [{"oid": wanted.oid, "size": wanted.size}],
            "hash_algo": "sha256",
        }
    )


def compose_verification(wanted: Wanted) -> bytes:
    """Return the body to send to `verify` after an upload."""
    return msgspec.json.encode({"oid": wanted.oid, "size": wanted.size})


def read_batch(data: bytes, wanted: Wanted) -> Offer | Refusal:
    """Parse the batch API's answer. Raises RemoteError, which does not quote the server."""
    batch = _decode(data, _Batch)
    if batch.transfer not in (None, BASIC):
        raise _unfit("it names a way of transfer that was not offered")
    found = [each for each in batch.objects if each.oid == wanted.oid]
    if len(found) != 1:
        raise _unfit("it does not name the object once")
    (answer,) = found
    if answer.error is not None:
        return Refusal(code=answer.error.code, said=answer.error.message)
    actions = answer.actions or {}
    if wanted.operation == "download" and "download" not in actions:
        raise _unfit("it does not say where the object is")
    transfer = actions.get(wanted.operation)
    verify = actions.get("verify") if wanted.operation == "upload" else None
    return Offer(
        transfer=None if transfer is None else _read_action(transfer.href, transfer.header),
        verify=None if verify is None else _read_action(verify.href, verify.header),
    )


def read_login(data: bytes) -> Action:
    """Parse the answer of `git-lfs-authenticate`: the API's URL and headers. Raises RemoteError."""
    login = _decode(data, _Login)
    if not login.href:
        raise _unfit("it does not say where its large files are")
    return _read_action(login.href.rstrip("/"), login.header)


def read_message(data: bytes) -> str:
    """Return the full message of a server's error, "" if it has none."""
    try:
        return msgspec.json.decode(data, type=_Message).message
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return ""


def read_href(text: str) -> Href:
    """Parse a URL from a server. Raises RemoteError, which does not quote it: it may be secret."""
    found = _HREF.fullmatch(text)
    if found is None:
        raise _unfit("it names what is no URL of https")
    scheme: Scheme = "https" if found["scheme"] == "https" else "http"
    target = found["target"] or "/"
    try:
        host = read_host(found["host"])
        port = read_port(found["port"], scheme) if found["port"] else None
    except RemoteError:
        raise _unfit("it names what is no URL of https") from None
    if not target.startswith("/"):
        target = f"/{target}"
    return Href(scheme=scheme, host=host, port=port, target=target)


def _read_action(href: str, header: Mapping[str, str] | None) -> Action:
    headers = tuple((header or {}).items())
    if any(not _NAME.fullmatch(name) or not _VALUE.fullmatch(value) for name, value in headers):
        raise _unfit("it names what is no header")
    return Action(
        href=read_href(href),
        headers=tuple(each for each in headers if each[0].lower() not in _OWN_HEADERS),
    )


T = TypeVar("T")


def _decode(data: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise _unfit("it is not what an LFS server says") from error


def _unfit(why: str) -> RemoteError:
    return RemoteError(f"the answer of the LFS server is not taken: {why}", rule="lfs-answer")
