"""Directories that are never a workspace: a tool that writes there could write the rules."""

import functools
import os
import sys
from collections.abc import Mapping, Sequence

import msgspec

import airlock_daemon
from airlock_daemon.path_text import is_within, prefix_of
from airlock_daemon.setup.paths import Locations

_INSTALLATION = "the daemon's installation"
_ENTRY = "a directory of the daemon's PATH"
_SOCKETS = "the sockets"
_PROGRAMS = (_INSTALLATION, _ENTRY)


class Reserved(msgspec.Struct, frozen=True, dict=True):
    """Airlock's own directories and files: (description, real path).

    `homes` is the real path of the directory of the containers' homes. It lies in a reserved
    directory, but a container has its home mounted, and may run commands there.
    """

    places: tuple[tuple[str, str], ...]
    homes: str | None = None

    @property
    def sockets_dir(self) -> str | None:
        """The sockets directory, None if it is not reserved."""
        return next((place for name, place in self.places if name == _SOCKETS), None)

    @functools.cached_property
    def private(self) -> "Reserved":
        """Those that a tool must not even see: all but the programs' directories."""
        return Reserved(tuple(place for place in self.places if place[0] not in _PROGRAMS))

    def conflict(self, path: str, *, may_be_home: bool = False) -> str | None:
        """Return why the real path `path` cannot be a workspace, or None.

        Both a directory that contains a reserved one, and one inside it, conflict. `may_be_home`
        permits a container's home and paths in it: for mounts of a running container. It must not
        be set for a workspace that is written or named: an agent writes its home, and would choose
        what is mounted next.
        """
        inside = prefix_of(path)
        if inside not in self._above and not inside.startswith(self._prefixes):
            return None
        homes = prefix_of(self.homes) if may_be_home and self.homes is not None else None
        is_home = homes is not None and inside != homes and inside.startswith(homes)
        for name, place in self.places:
            prefix = prefix_of(place)
            if prefix.startswith(inside):
                return f"it contains {name} ({place})"
            if is_home and homes is not None and homes.startswith(prefix):
                continue
            if inside.startswith(prefix):
                return f"it lies in {name} ({place})"
        return None

    @functools.cached_property
    def _prefixes(self) -> tuple[str, ...]:
        return tuple(prefix_of(place) for _, place in self.places)

    @functools.cached_property
    def _above(self) -> frozenset[str]:
        """The prefixes of all parents of reserved paths, and of these themselves."""
        return frozenset(
            prefix[: end + 1]
            for prefix in self._prefixes
            for end, character in enumerate(prefix)
            if character == "/"
        )


def reserve(
    locations: Locations,
    *,
    state_dir: str,
    log: str,
    agents: Mapping[str, str],
    hooks: Mapping[str, Sequence[str]] = {},
    search_path: str,
) -> Reserved:
    """Collect the reserved paths; `log` may be "-".

    `agents` and `hooks` map an agent's name to its directory and to the paths of its hooks.
    Programs are found on `search_path`, a PATH of absolute directories.
    """
    places = [("the configuration", locations.config_dir), (_SOCKETS, locations.sockets_dir)]
    places.append(("the state", state_dir))
    places += [(f'the directory of agent "{name}"', path) for name, path in agents.items()]
    for name, paths in hooks.items():
        directory = os.path.realpath(agents[name])
        for path in map(os.path.realpath, paths):
            # A hook may be a symlink; inside the agent's directory it is reserved already.
            if not is_within(path, directory):
                places.append((f'a hook of agent "{name}"', path))
    if log != "-":
        places.append(("the audit log", log))
    if locations.agents is not None:
        places.append(("the registration file", locations.agents))
    places.append((_INSTALLATION, os.path.dirname(airlock_daemon.__file__)))
    if sys.prefix != sys.base_prefix:
        places.append((_INSTALLATION, sys.prefix))
    entries = filter(None, search_path.split(os.pathsep))
    places += [(_ENTRY, entry) for entry in entries]
    places.append(("the files of containers", locations.containers_dir))
    homes = os.path.realpath(locations.homes_dir)
    return Reserved(tuple((name, os.path.realpath(path)) for name, path in places), homes)
