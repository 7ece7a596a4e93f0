"""The paths of the daemon's own files."""

import os
from typing import ClassVar, Self

import msgspec

from airlock_daemon.path_text import absolute

_STATE = "~/.local/state/airlock"

_CONFIG = "~/.config/airlock"


class Locations(msgspec.Struct, frozen=True, kw_only=True):
    """The paths that the command line can set; all absolute.

    `state_dir` is used unless config.toml sets another. `agents` is None without a registration
    file: the daemon then serves no agent.
    """

    REGISTRATION: ClassVar[str] = "agents.toml"
    """The name of a registration file beside config.toml."""

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
