"""The Typer application, and what becomes of an error that reaches it."""

import logging
import sys
import traceback

import typer

from airlock_daemon.cli import ask, check, options, profile, show, start, version
from airlock_daemon.errors import AirlockError, SetupError

OUR_FAULT = 70

app = typer.Typer(
    name="airlock-daemon",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _options(
    context: typer.Context,
    config: options.Config = None,
    sockets: options.Sockets = None,
    agents: options.Agents = None,
    json: options.Json = False,
) -> None:
    """Run credentialed tools for containers that hold no credential.

    A shim in the container sends the command; this daemon decides by policy, runs the real tool
    here, and streams its output back.

    To begin: write ~/.config/airlock/config.toml (what may run at all), an agent's directory with
    an airlock.toml (what that agent may run), and a registration file that names the directory.
    Then `airlock-daemon --agents FILE check`, and `airlock-daemon --agents FILE start`.
    """
    context.obj = options.Options(config=config, sockets=sockets, agents=agents, json=json)


app.command("start")(start.start)
app.command("check")(check.check)
app.command("test", context_settings={"allow_interspersed_args": False})(ask.ask)
app.command("show")(show.show)
app.command("version")(version.version)
app.add_typer(profile.app, name="profile")


def run() -> None:
    """Run the application and exit with its status."""
    logging.basicConfig(level=logging.INFO, format="airlock: %(message)s", stream=sys.stderr)
    try:
        app()
    except SetupError as error:
        for fault in error.faults:
            print(f"airlock: {fault}", file=sys.stderr)
        count = len(error.faults)
        print(f"airlock: {count} {'fault' if count == 1 else 'faults'} found", file=sys.stderr)
        sys.exit(1)
    except AirlockError as error:
        print(f"airlock: {error.message}", file=sys.stderr)
        if error.hint:
            print(f"airlock: hint: {error.hint}", file=sys.stderr)
        sys.exit(1)
    except Exception:  # noqa: BLE001 - the boundary: an exit status for every fault
        traceback.print_exc()
        print("airlock: this is a fault of Airlock's own; please report it", file=sys.stderr)
        sys.exit(OUR_FAULT)
