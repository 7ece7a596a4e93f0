"""Which registration file a command works with."""

import os

import msgspec

from airlock_daemon.setup.notice import find_notice
from airlock_daemon.setup.paths import Locations, beside_config


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """The path of a registration file, None for no file.

    `origin` says why it is this file, where that may surprise: the running daemon serves none.
    `is_served` says that a daemon of this configuration runs with this very file, and `has_daemon`
    that one runs at all.
    """

    path: str | None
    origin: str = ""
    is_served: bool = False
    has_daemon: bool = False


def find_registration(locations: Locations) -> Registration:
    """The file of `--agents`, else that of the running daemon, else `agents.toml` if it is there.

    A daemon counts if it serves the same sockets directory by the same configuration.
    """
    notice = find_notice(locations)
    has_daemon = notice is not None
    served = None if notice is None else notice.agents
    if locations.agents is not None:
        is_served = locations.agents == served
        return Registration(path=locations.agents, is_served=is_served, has_daemon=has_daemon)
    if served is not None:
        return Registration(path=served, is_served=True, has_daemon=True)
    beside = beside_config(locations)
    if not os.path.lexists(beside):
        return Registration(path=None, has_daemon=has_daemon)
    origin = "the running daemon was started without a registration" if has_daemon else ""
    return Registration(path=beside, origin=origin, has_daemon=has_daemon)
