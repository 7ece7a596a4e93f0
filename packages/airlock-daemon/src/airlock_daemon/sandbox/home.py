"""The box of the class "home": what it has of the host beside what a closed one has.

Tools of which nobody has said what they need find their configuration there, and each credential of
that home. So it is for what has to go on working, and no wall.
"""

import glob
import os
import pwd
from collections.abc import Iterable, Iterator, Mapping

from airlock_daemon.command.order import Identity
from airlock_daemon.errors import Denied
from airlock_daemon.sandbox.box import Cover, Home, Null, Operation, Placed, System
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.reserved import Reserved, is_within

PLACES = ("/etc", "/opt")
"""Directories of the host that it has whole."""

_RESOLVER = "/etc/resolv.conf"
# Of what a box may have in /tmp: caches are larger.
_TIMES = 4


def find_home(
    identity: Identity, environment: Mapping[str, str], *, reserved: Reserved, limits: Limits
) -> Home | None:
    """The home of `identity`, with what of Airlock's own is to be covered; None without a home.

    `environment` is the daemon's, and `limits` bound what is written there. Raises Denied where all
    of it lies in a directory of Airlock's.
    """
    named = environment.get("HOME", "")
    if identity.user != os.geteuid() and not _is_owner(identity, named):
        named = _ask_system(identity)
    path = os.path.realpath(named) if os.path.isabs(named) else "/"
    if path == "/" or not os.path.isdir(path):
        return None
    for what, place in reserved.private.places:
        if is_within(path, place):
            raise Denied(
                f"the home {path} cannot be shown in a box: it lies in {what}",
                layer="sandbox",
                rule="reserved",
                hint="a person on the host can move Airlock's files and restart the daemon, or "
                'write [sandbox] box = "closed" in the module and reload',
            )
    size = _TIMES * limits.box_tmpfs_mb << 20
    return Home(path, size, tuple(hide((*PLACES, path), reserved)))


def hide(shown: Iterable[str], reserved: Reserved) -> Iterator[Placed]:
    """What to cover, so that nothing of Airlock's own can be seen in the directories `shown`."""
    places = list(shown)
    covered = list[str]()
    # A directory before what is in it: under a cover there is nothing any more that could have one.
    for path in sorted(_list_private(reserved)):
        if any(is_within(path, each) for each in covered):
            continue
        if any(is_within(path, each) for each in places):
            if os.path.isdir(path):
                covered.append(path)
                yield Placed(Cover(), path)
            elif os.path.exists(path):
                yield Placed(Null(), path)


def _list_private(reserved: Reserved) -> set[str]:
    # Of the log there are older files beside it.
    paths = (place for _, place in reserved.private.places)
    return {path for place in paths for path in (place, *glob.glob(f"{glob.escape(place)}.*"))}


def make_places(home: Home | None) -> Iterator[Operation]:
    """What it shows, read-only."""
    for path in PLACES:
        if os.path.isdir(path):
            yield System(path, path)
    resolver = os.path.realpath(_RESOLVER)
    if os.path.isfile(resolver) and not is_within(resolver, "/etc"):
        yield System(resolver, resolver)
    if home is not None:
        yield System(home.path, home.path)


def _is_owner(identity: Identity, path: str) -> bool:
    try:
        return os.stat(path).st_uid == identity.user
    except OSError:
        return False


def _ask_system(identity: Identity) -> str:
    try:
        return pwd.getpwuid(identity.user).pw_dir
    except KeyError:
        return ""
