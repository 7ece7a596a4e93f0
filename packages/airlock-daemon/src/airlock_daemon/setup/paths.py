"""The paths of Airlock's own files, the names in a sockets directory, and what no workspace has.

A tool that writes where these files are could write the rules.
"""

import functools
import os
import sys
from collections.abc import Mapping, Sequence
from typing import ClassVar, Self

import msgspec

import airlock_daemon
from airlock_daemon.path_text import absolute, is_within, prefix_of

_STATE = "~/.local/state/airlock"

_CONFIG = "~/.config/airlock"


class Locations(msgspec.Struct, frozen=True, kw_only=True):
    """The paths that the command line can set; all absolute.

    `state_dir` is used unless config.toml sets another. `agents` is None without a registration
    file: the daemon then serves no agent.
    """

    REGISTRATION: ClassVar[str] = "agents.toml"
    """The name of a registration file beside config.toml."""

    LOCK: ClassVar[str] = ".lock"
    """The name of the file that the daemon locks in its sockets directory."""

    config_dir: str
    sockets_dir: str
    agents: str | None
    state_dir: str

    @classmethod
    def find(
        cls, *, config: str | None = None, sockets: str | None = None, agents: str | None = None
    ) -> Self:
        """Convert the command line's options to absolute paths, with defaults.

        The sockets follow `config` unless set; the state always does.
        """
        config_dir = absolute(config) if config else absolute(_CONFIG)
        return cls(
            config_dir=config_dir,
            sockets_dir=absolute(sockets) if sockets else os.path.join(config_dir, "sockets"),
            agents=absolute(agents) if agents else None,
            state_dir=os.path.join(config_dir, "state") if config else absolute(_STATE),
        )

    @property
    def options(self) -> tuple[str, ...]:
        """The command-line options for these paths; defaults are omitted."""
        # The state follows a `--config` even if that is the default directory.
        config = None if self.state_dir == absolute(_STATE) else self.config_dir
        usual = Locations.find(config=config).sockets_dir
        named = {
            "--config": config,
            "--sockets": None if self.sockets_dir == usual else self.sockets_dir,
            "--agents": self.agents,
        }
        return tuple(word for option, path in named.items() if path for word in (option, path))

    @property
    def config_file(self) -> str:
        """The path of `config.toml`."""
        return os.path.join(self.config_dir, "config.toml")

    @property
    def registration_file(self) -> str:
        """The default path of the registration file."""
        return os.path.join(self.config_dir, self.REGISTRATION)

    @property
    def containers_dir(self) -> str:
        """The directory of the containers' homes and accounts, which `run` mounts."""
        is_usual = self.config_dir == absolute(_CONFIG)
        parent = absolute("~/.local/share/airlock") if is_usual else self.config_dir
        return os.path.join(parent, "containers")

    @property
    def homes_dir(self) -> str:
        """The directory of the agents' homes, within that of the containers' files."""
        return os.path.join(self.containers_dir, "homes")

    @property
    def modules_dir(self) -> str:
        """The path of `modules/`, whose modules are for all agents."""
        return os.path.join(self.config_dir, "modules")


# A sockets directory has for each agent NAME the sockets `NAME/*.sock`, and hard links to them.

SOCKET = "airlock.sock"
"""The socket for commands, in its agent's directory. `NAME.sock` is a hard link to it."""

HTTPS = "https.sock"
"""The socket for APIs and networks, if the agent's profile grants any."""

ENGINE = "docker.sock"
"""The socket for the docker engine, if the agent's profile has `[docker]`."""

NAMES = (SOCKET, HTTPS, ENGINE)
"""All sockets that an agent's directory may have."""

SOCKET_DIRECTORY = "/run/airlock"
"""The mount point of its agent's socket directory in a container."""

CA = "ca.pem"
BUNDLE = "ca-bundle.pem"
TRUSTSTORE = "truststore.p12"
PUBLISHED = (CA, BUNDLE, TRUSTSTORE)
"""The HTTPS broker's files in an agent's socket directory."""
CLIENT_ENV = "client.env"
"""The variables of `client.ContainerClient` in that directory, as lines NAME=VALUE."""

BRIDGED = ("docker", "podman")
"""The engines whose own command can carry the sockets to their containers, by a bridge."""

MADE_BY_DOCKER = (
    "docker makes such a directory where a container mounts it before the daemon has started"
)
"""Why a socket's path, or the sockets directory, may be a directory of root."""

_FOR_CONTAINERS = ".containers"


def container_directory(agent: str) -> str:
    """A directory for what an agent's docker containers mount, relative to the sockets directory.

    No container has it at a path where it could replace a file, as an agent may in its own
    directory: an engine that mounts a path follows its symlinks on the host.
    """
    return f"{_FOR_CONTAINERS}/{agent}"


def find_link(agent: str, name: str) -> str:
    """The path of the hard link to an agent's socket, relative to the sockets directory."""
    links = {
        SOCKET: f"{agent}.sock",
        HTTPS: f"{container_directory(agent)}/{HTTPS}",
        ENGINE: f"{container_directory(agent)}.sock",
    }
    return links[name]


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
