"""The object of every command: the files chosen by its options, loaded on demand.

These options are accepted before a command, and after it before its first positional.
"""

import functools
import inspect
import os
from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import msgspec
import typer

from airlock_daemon.admin.cli.output import print_message
from airlock_daemon.errors import AirlockError, SetupError
from airlock_daemon.setup.paths import Locations
from airlock_daemon.setup.status import DaemonStatus
from airlock_modules import Fault

if TYPE_CHECKING:
    from airlock_daemon.setup.generation import Generation, LogConfig, Setup, State


class Registration(msgspec.Struct, frozen=True, kw_only=True):
    """The path of a registration file, None for no file.

    `is_served` says that a daemon of this configuration runs with this file, and `has_daemon` that
    one runs at all.
    """

    path: str | None
    is_served: bool = False
    has_daemon: bool = False


class Application(msgspec.Struct, frozen=True, kw_only=True):
    """The four options as given. Everything else is loaded on demand.

    Importing this needs neither Linux nor anything for serving.
    """

    config: str | None = None
    sockets: str | None = None
    agents: str | None = None
    json: bool = False

    def choose(self, **options: str | bool | None) -> "Application":
        """A copy with later options, which have precedence."""
        given = {name: value for name, value in options.items() if value}
        return msgspec.structs.replace(self, **given)

    @property
    def locations(self) -> Locations:
        """The paths of the files by these options alone."""
        return Locations.find(config=self.config, sockets=self.sockets, agents=self.agents)

    def refuse_earlier(self) -> None:
        """Raise AirlockError if the files are of an earlier release, which `migrate` reads."""
        from airlock_daemon.admin.migrate import advise  # noqa: PLC0415

        advice = advise(self.locations)
        if advice is not None:
            raise AirlockError(advice.where, hint=advice.finding.remedy)

    def find_registration(self) -> Registration:
        """The file of --agents, else the running daemon's, else agents.toml if it exists.

        A daemon counts if it serves the same sockets directory by the same configuration. Prints to
        stderr which file is used if the running daemon has none.
        """
        status = DaemonStatus.find(self.locations)
        has_daemon = status is not None
        served = None if status is None else status.agents
        path = self.locations.agents or served
        if path is not None:
            return Registration(path=path, is_served=path == served, has_daemon=has_daemon)
        beside = self.locations.registration_file
        if not os.path.lexists(beside):
            return Registration(path=None, has_daemon=has_daemon)
        if has_daemon:
            print_message(f"using {beside}: the running daemon was started without a registration")
        return Registration(path=beside, has_daemon=has_daemon)

    def find_files(self) -> Locations:
        """The paths of the files, with the registration of `find_registration`."""
        return msgspec.structs.replace(self.locations, agents=self.find_registration().path)

    def load_setup(self) -> "Setup":
        """The setup, from the files of `find_files`.

        Raises SetupError with all faults of all files.
        """
        from airlock_daemon.setup.generation import Setup  # noqa: PLC0415

        return Setup.load(self.find_files())

    def load_agent(self, name: str) -> "tuple[Setup, Generation]":
        """The setup, and the generation of the agent `name`.

        Raises what `Setup.load` raises, SetupError if the agent is not served because of its
        workspaces, and AirlockError if no such agent is registered.
        """
        setup = self.load_setup()
        generation = setup.generations.get(name)
        if name in setup.unserved:
            raise SetupError(setup.unserved[name].faults)
        if generation is None:
            raise AirlockError(
                f"no agent {name} is registered",
                hint="see: airlock agent list"
                if setup.locations.agents
                else "register it: airlock agent add, or name a file with --agents",
            )
        return setup, generation

    def list_written(self) -> tuple[str, ...]:
        """The directories that agents write: their workspaces, and the homes of containers.

        Raises SetupError if a fault of the registration or of a profile could hide one.
        """
        from airlock_daemon.setup.generation import Agent, read_registration  # noqa: PLC0415

        files = self.find_files()
        faults: list[Fault] = []
        registered = read_registration(files.agents, faults=faults) if files.agents else {}
        if faults:
            raise SetupError(tuple(faults))
        agents = Agent.load_registered(registered)
        return (*(mount.source for each in agents for mount in each.mounts), files.homes_dir)

    def locate_state(self) -> "State":
        """The state directory, which config.toml may name."""
        from airlock_daemon.setup.config import Config  # noqa: PLC0415

        return Config.locate_state(self.locations)

    def load_log_config(self) -> "LogConfig":
        """`[log]` of config.toml, ignoring faults of other tables; raises SetupError."""
        from airlock_daemon.setup.config import Config  # noqa: PLC0415

        faults: list[Fault] = []
        config = Config.load(self.locations.config_file, faults=faults, warnings=[])
        own = [fault for fault in faults if fault.key == "log" or fault.key.startswith("log.")]
        if config is None or own:
            raise SetupError(tuple(own or faults))
        return config.log

    def print(self, report: Any, lines: Iterable[str]) -> None:
        """Print the report as indented JSON with --json, else the lines."""
        if self.json:
            lines = [msgspec.json.format(msgspec.json.encode(report)).decode()]
        for line in lines:
            print(line)

    def print_names(self, described: Mapping[str, str]) -> None:
        """Print each name and its description."""
        width = max(map(len, described))
        self.print(described, (f"{name:{width}}  {what}" for name, what in described.items()))


Config = Annotated[
    str | None,
    typer.Option(
        "--config",
        metavar="DIR",
        help="Directory of config.toml.  [default: ~/.config/airlock]",
        show_default=False,
    ),
]
Sockets = Annotated[
    str | None,
    typer.Option(
        "--sockets",
        metavar="DIR",
        help="Directory of the agents' sockets.  [default: sockets/ beside config.toml]",
        show_default=False,
    ),
]
Agents = Annotated[
    str | None,
    typer.Option(
        "--agents",
        metavar="FILE",
        help="Registration file: a table [NAME] with path = DIRECTORY for each agent.",
        show_default=False,
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]


def pass_obj(body: Callable[..., None]) -> Callable[..., None]:
    """Make `body` a function for Typer with the four options besides its own parameters.

    It is called with the Application of all options so far; those after the command override those
    before it. Contexts of inner commands start with it.
    """

    @functools.wraps(body)
    def command(context: typer.Context, **values: Any) -> None:
        given = {name: values.pop(name) for name in _SHARED}
        context.obj = (context.obj or Application()).choose(**given)
        body(context.obj, **values)

    # Typer reads both, and would find those of `body`.
    _, *own = inspect.signature(body).parameters.values()
    parameters = [_CONTEXT, *own, *_SHARED.values()]
    command.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    command.__annotations__ = {each.name: each.annotation for each in parameters}
    return command


def _shared(
    context: typer.Context,
    *,
    config: Config = None,
    sockets: Sockets = None,
    agents: Agents = None,
    json: Json = False,
) -> None:
    """The parameters that `pass_obj` adds."""


_SHARED = dict(inspect.signature(_shared).parameters)
_CONTEXT = _SHARED.pop("context")
