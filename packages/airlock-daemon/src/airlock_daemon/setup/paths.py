"""The paths of the daemon's own files."""

import os

import msgspec

_STATE = "~/.local/state/airlock"
REGISTRATION = "agents.toml"
"""The name of a registration file beside config.toml."""
HOMES = "homes"
"""The directory of the agents' homes, in that of the files of containers."""

_CONFIG = "~/.config/airlock"


class Locations(msgspec.Struct, frozen=True, kw_only=True):
    """The places that the command line can choose; all absolute.

    `state_dir` is where the daemon's state is, unless config.toml says otherwise.

    `agents` is None where no registration file was named: the daemon then serves no agent.
    """

    config_dir: str
    sockets_dir: str
    agents: str | None
    state_dir: str

    @property
    def options(self) -> tuple[str, ...]:
        """The words of a command line that name these files; what is usual is left out."""
        # The state follows a configuration that was named, be it the usual one.
        config = None if self.state_dir == absolute(_STATE) else self.config_dir
        usual = locate(config=config).sockets_dir
        named = {
            "--config": config,
            "--sockets": None if self.sockets_dir == usual else self.sockets_dir,
            "--agents": self.agents,
        }
        return tuple(word for option, path in named.items() if path for word in (option, path))

    @property
    def config_file(self) -> str:
        """Path of `config.toml`."""
        return os.path.join(self.config_dir, "config.toml")

    @property
    def containers_dir(self) -> str:
        """Directory of the containers' homes and accounts, which `run` mounts."""
        is_usual = self.config_dir == absolute(_CONFIG)
        parent = absolute("~/.local/share/airlock") if is_usual else self.config_dir
        return os.path.join(parent, "containers")

    @property
    def modules_dir(self) -> str:
        """Path of `modules/`, whose modules are for all agents."""
        return os.path.join(self.config_dir, "modules")


def locate(
    *, config: str | None = None, sockets: str | None = None, agents: str | None = None
) -> Locations:
    """Turn the options of the command line into absolute paths, with the defaults filled in.

    The sockets follow `config` unless they are named themselves; the state always does.
    """
    config_dir = absolute(config) if config else absolute(_CONFIG)
    return Locations(
        config_dir=config_dir,
        sockets_dir=absolute(sockets) if sockets else os.path.join(config_dir, "sockets"),
        agents=absolute(agents) if agents else None,
        state_dir=os.path.join(config_dir, "state") if config else absolute(_STATE),
    )


def beside_config(locations: Locations) -> str:
    """Where a registration file is looked for that nobody names."""
    return os.path.join(locations.config_dir, REGISTRATION)


def expand_home(path: str, home: str) -> str:
    """`path` with `home` in the place of a `~` before its first `/`, as files of ours spell it."""
    return os.path.join(home, path[2:]) if path.startswith("~/") else path


def absolute(path: str, *, base: str | None = None) -> str:
    """Expand `~` and make `path` absolute, from `base` or the working directory; links stay."""
    expanded = os.path.expanduser(path)
    return os.path.normpath(os.path.join(base or os.getcwd(), expanded))
