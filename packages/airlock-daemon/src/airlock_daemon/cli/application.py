"""The one object that every command works with: what the options chose, and what can be loaded."""

import logging
import sys
from typing import TYPE_CHECKING, Any

import msgspec

from airlock_daemon.cli.reporting import say
from airlock_daemon.errors import AirlockError, SetupError
from airlock_daemon.platform.support import find_missing
from airlock_daemon.setup.paths import Locations, locate
from airlock_modules import Fault

if TYPE_CHECKING:
    from airlock_daemon.cli.registration import Registration
    from airlock_daemon.setup.config import LogConfig
    from airlock_daemon.setup.generation import Generation, Setup


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """The four options as far as they were given. Everything else is loaded when it is asked for.

    Importing this needs nothing of one operating system, and nothing that serving needs.
    """

    config: str | None = None
    sockets: str | None = None
    agents: str | None = None
    json: bool = False

    def choose(
        self,
        *,
        config: str | None = None,
        sockets: str | None = None,
        agents: str | None = None,
        json: bool = False,
    ) -> "Application":
        """The same with options that were given later, which count more."""
        return Application(
            config=config or self.config,
            sockets=sockets or self.sockets,
            agents=agents or self.agents,
            json=json or self.json,
        )

    @property
    def locations(self) -> Locations:
        """Where the files are by these options alone."""
        return locate(config=self.config, sockets=self.sockets, agents=self.agents)

    @property
    def given(self) -> tuple[str, ...]:
        """The options that say where the files are, as words of a command line."""
        options = {"--config": self.config, "--sockets": self.sockets, "--agents": self.agents}
        return tuple(word for name, path in options.items() if path for word in (name, path))

    def refuse_earlier(self) -> None:
        """Raise AirlockError where the files are of an earlier release, which `migrate` reads."""
        from airlock_daemon.migrate.layout import advise  # noqa: PLC0415

        advice = advise(self.locations, options=self.given)
        if advice is not None:
            raise AirlockError(advice.where, hint=advice.finding.remedy)

    def find_registration(self) -> "Registration":
        """The registration file; says on stderr which one it is where that may surprise."""
        from airlock_daemon.cli.registration import find_registration  # noqa: PLC0415

        registration = find_registration(self.locations)
        if registration.origin:
            say(f"using {registration.path}: {registration.origin}")
        return registration

    def find_files(self) -> Locations:
        """Where the files are, with the registration that `find_registration` gives."""
        return msgspec.structs.replace(self.locations, agents=self.find_registration().path)

    def load_setup(self) -> "Setup":
        """Everything on disk, as `find_files` finds it.

        Raises SetupError with all faults of all files.
        """
        from airlock_daemon.setup.generation import load_setup  # noqa: PLC0415

        return load_setup(self.find_files())

    def load_agent(self, name: str) -> "tuple[Setup, Generation]":
        """Everything on disk, and what it is for the agent `name`.

        Raises what `load_setup` raises, SetupError where the agent is not served because of its
        workspaces, and AirlockError where no such agent is registered.
        """
        setup = self.load_setup()
        generation = setup.generations.get(name)
        if name in setup.unserved:
            raise SetupError(setup.unserved[name].faults)
        if generation is None:
            raise AirlockError(
                f"no agent {name} is registered",
                hint="see: airlock-daemon profile list"
                if setup.locations.agents
                else "register it: airlock-daemon agent add, or name a file with --agents",
            )
        return setup, generation

    def load_log_config(self) -> "LogConfig":
        """`[log]` of config.toml, whatever is wrong in its other tables; raises SetupError."""
        from airlock_daemon.setup.config import load_config  # noqa: PLC0415

        faults: list[Fault] = []
        config = load_config(self.locations.config_file, faults=faults, warnings=[])
        own = [fault for fault in faults if fault.key == "log" or fault.key.startswith("log.")]
        if config is None or own:
            raise SetupError(tuple(own or faults))
        return config.log

    def serve(self) -> None:
        """Serve what the options name until SIGTERM or SIGINT.

        Raises SetupError and AirlockError.
        """
        if missing := find_missing():
            raise AirlockError(
                f"serving needs Linux: Python has no {', '.join(missing)} here ({sys.platform})",
                hint="start the daemon on the Linux host that has the credentials; "
                "check, test, show, agent and profile work here too",
            )
        from airlock_daemon.migrate.layout import advise  # noqa: PLC0415
        from airlock_daemon.serving.daemon import run_daemon  # noqa: PLC0415
        from airlock_daemon.setup.generation import load_setup  # noqa: PLC0415

        advice = advise(self.locations, options=self.given)
        if advice is not None and not advice.can_serve:
            raise AirlockError(advice.where, hint=advice.finding.remedy)
        if advice is not None:
            say(f"warning: {advice.finding}")
        setup = load_setup(self.locations)
        logging.getLogger("airlock").setLevel(setup.config.log_level)
        run_daemon(setup)

    def print_json(self, value: Any) -> None:
        """Print `value` on stdout as indented JSON."""
        print(msgspec.json.format(msgspec.json.encode(value)).decode())
