"""The table of commands. Each is a function in a module, imported when called, mostly of its name.

One with commands of its own, or with settings, is the `app` of its module instead.
"""

import importlib
import sys
from collections.abc import Sequence
from typing import Annotated, Any, NoReturn

import typer
import typer.main
from typer.core import TyperCommand, TyperGroup

from airlock_daemon._version import __version__
from airlock_daemon.admin.cli import VERSION_OPTIONS
from airlock_daemon.admin.cli.application import Application, pass_obj
from airlock_daemon.admin.cli.output import print_message, printing

NAME = "airlock"
"""The command in messages; `airlock-daemon` is another name of the same program."""

COMMANDS = {
    "init": "Create the configuration, and install the daemon as a service.",
    "start": "Serve the registered agents until SIGTERM or Ctrl-C.",
    "reload": "Tell the running daemon to read its files again.",
    "check": "Check the configuration for mistakes.",
    "doctor": "Check the host: service, sockets, tools, containers and boxes.",
    "test": "Show whether a command would be allowed, and what decides it.",
    "show": "Print a command's module as TOML, to start an override from.",
    "agent": "Add, list and remove agents, and trust a replaced workspace.",
    "login": "Store the credential of an API, or list the stored ones.",
    "run": "Run a container for an agent, from any image.",
    "bridge": "Print how containers mount an agent's sockets by its bridge.",
    "scan": "List files in a workspace that your own tools would run.",
    "shim": "Copy the shim into a build context, or print its path.",
    "profile": "Show the registered agents and their profiles.",
    "pending": "List the questions that wait for a person.",
    "approve": "Let through an operation that waits for a person.",
    "reject": "Refuse an operation that waits for a person.",
    "log": "Read the audit log, and verify its chain of hashes.",
    "migrate": "Convert the files of an earlier release.",
    "version": "Print the version.",
}
"""Each command with the first sentence of its help, available without imports."""

_MODULES = dict.fromkeys(("pending", "approve", "reject"), "questions")


def load_command(name: str) -> Any:
    """The command `name` of COMMANDS, as an object of Typer's core."""
    module = importlib.import_module(f"airlock_daemon.admin.cli.{_MODULES.get(name, name)}")
    app = getattr(module, "app", None)
    if app is None:
        app = typer.Typer(add_completion=False, rich_markup_mode=None)
        app.command()(pass_obj(getattr(module, name)))
    return typer.main.get_command(app)


REMOVED = {
    "diff": "airlock check says what an override gives up; for every line: "
    "airlock show NAME | diff - DIR/commands/NAME.toml",
    "eject": "airlock show NAME > DIR/commands/NAME.toml, in an agent's directory",
}
"""Commands of v0.1 to v0.3, and their replacements."""


class LazyGroup(TyperGroup):
    """A group that imports a command only when it is called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for name, summary in COMMANDS.items():
            self.add_command(TyperCommand(name, help=summary))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """As in Typer, but with the command itself instead of its summary."""
        if args[0] in REMOVED:
            ctx.fail(f"{args[0]} is no command any more: {REMOVED[args[0]]}")
        name, _, rest = super().resolve_command(ctx, args)
        return name, load_command(name) if name else None, rest


app = typer.Typer(
    name=NAME,
    cls=LazyGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(is_wanted: bool) -> None:
    if is_wanted:
        print(f"airlock-daemon {__version__}")
        raise typer.Exit


@app.callback()
@pass_obj
def _begin(
    application: Application,
    version: Annotated[
        bool,
        typer.Option(
            *VERSION_OPTIONS, callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Run credentialed tools for containers that hold no credential.

    A shim in the container sends the command. This daemon decides by policy, runs the real tool
    here, and streams its output back.

    To begin, run `airlock agent add NAME --workspace DIR`: it writes the files and prints the next
    step. The files are ~/.config/airlock/config.toml (what may run at all), a directory for each
    agent with an airlock.toml (what that agent may run), and a registration of these directories.
    """


def run(words: Sequence[str]) -> NoReturn:
    """Run the application with these arguments, and exit with its status.

    The status is 1 if the reader of its output closes early.
    """
    status = 1
    with printing():
        try:
            status = typer.main.get_command(app).main(words, prog_name=NAME, standalone_mode=False)
        except typer.TyperException as error:
            _explain(error)
            status = error.exit_code
    sys.exit(status)


def _explain(error: typer.TyperException) -> None:
    """Print what was wrong, the usage, and where to read more."""
    message = error.format_message()
    context: typer.Context | None = getattr(error, "ctx", None)
    if context is not None and message == context.get_help():
        # There were no arguments.
        print(message, file=sys.stderr)
        return
    print_message(f"{message[:1].lower()}{message[1:].rstrip('.')}")
    if context is not None:
        print_message("usage: " + " ".join(context.get_usage().split()).removeprefix("Usage: "))
    print_message(f"hint: {context.command_path if context else NAME} --help")
