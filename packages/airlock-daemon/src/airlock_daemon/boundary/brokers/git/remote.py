"""One conversation with a remote, as it was admitted: all that is needed to hold it."""

import msgspec

from airlock_daemon.boundary.brokers.http.connecting import Origin
from airlock_modules import Destination, Place, RemoteRequest
from airlock_modules.remotes.lfs import LfsRequest


class SshRemote(msgspec.Struct, frozen=True, kw_only=True):
    """A program holds it: `argv` are the words of `program`, with which the remote is reached.

    `asked` is what the client wants. `is_pinned` says that the profile names the place.
    """

    asked: RemoteRequest
    program: str
    argv: tuple[str, ...]
    is_pinned: bool


class UrlRemote(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon holds it, over HTTP, with `git` as the program that knows the human's accounts.

    What is wanted of the destination the client says later. `barrier` says why its host must be
    named in the grant, None where it need not be. `is_first` is for version 1 of git's protocol.
    """

    destination: Destination
    origin: Origin
    git: str
    barrier: str | None
    is_first: bool


class LfsRemote(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon downloads or uploads large files (Git LFS), beside a fetch or push that `wanted`
    has.

    `api` is where an https remote has its API. An ssh remote says by `login` where that is, None
    for another. `place` is the line of the profile that names the remote, if one does.
    """

    wanted: LfsRequest
    api: UrlRemote | None
    login: SshRemote | None
    git: str
    place: Place | None


Remote = SshRemote | UrlRemote | LfsRemote
