"""The admitted remote of one git conversation: how to reach it."""

from typing import TYPE_CHECKING

import msgspec

from airlock_daemon.boundary.brokers.http.connecting import Origin
from airlock_modules import Destination, Place, RemoteRequest

if TYPE_CHECKING:
    from airlock_modules.remotes.lfs import LfsRequest


class SshRemote(msgspec.Struct, frozen=True, kw_only=True):
    """A remote that `program`, run with `argv`, connects to.

    `asked` is the client's request. `is_pinned`: the profile names the repository.
    """

    asked: RemoteRequest
    program: str
    argv: tuple[str, ...]
    is_pinned: bool


class UrlRemote(msgspec.Struct, frozen=True, kw_only=True):
    """A remote that the daemon reaches over HTTP; the program `git` supplies the credentials.

    The client names the service later. `barrier` is why the grant must name the host, None if it
    need not. `is_first`: use version 1 of git's protocol for a push.
    """

    destination: Destination
    origin: Origin
    git: str
    barrier: str | None
    is_first: bool


class LfsRemote(msgspec.Struct, frozen=True, kw_only=True):
    """An LFS server for the large files of the fetch or push in `wanted`.

    `api` is the API of an https remote; an ssh remote is asked for its API over `login`. `place` is
    the profile's line that names the remote, if any.
    """

    wanted: "LfsRequest"
    api: UrlRemote | None
    login: SshRemote | None
    git: str
    place: Place | None


Remote = SshRemote | UrlRemote | LfsRemote
