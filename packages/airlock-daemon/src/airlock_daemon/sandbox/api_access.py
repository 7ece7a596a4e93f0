"""What a box has to reach the APIs of its agent: what a container of the agent has."""

import os
from collections.abc import Iterator, Mapping

import msgspec

from airlock_daemon.sandbox.box import HOME, Made, System
from airlock_daemon.sandbox.etc import PUBLIC
from airlock_daemon.sandbox.programs import SYSTEM
from airlock_daemon.setup.client import BUNDLE, PUBLISHED, SOCKET_DIRECTORY, STORES
from airlock_daemon.setup.paths import expand_home
from airlock_daemon.setup.reserved import is_within


class ApiAccess(msgspec.Struct, frozen=True, kw_only=True):
    """Variables, texts of files by their path, and the directory of the host that has the
    certificates of the agent's own authority.
    """

    environment: Mapping[str, str]
    files: Mapping[str, str]
    published: str


def list_given(access: ApiAccess) -> Iterator[System | Made]:
    """The files of a box with this access. The bundle of certificates is also wherever programs
    look for the host's.

    Nothing else of `published` is shown, which has the sockets of the agent.
    """
    published = access.published
    for path, text in access.files.items():
        yield Made(text.encode(), expand_home(path, HOME))
    for name in PUBLISHED:
        yield System(os.path.join(published, name), f"{SOCKET_DIRECTORY}/{name}", is_own=True)
    # One is often a link to another.
    stores = dict.fromkeys(os.path.realpath(path) for path in STORES if os.path.isfile(path))
    for store in stores:
        if any(is_within(store, place) for place in (*SYSTEM, *PUBLIC)):
            yield System(os.path.join(published, BUNDLE), store, is_own=True)
