"""The Typer application."""

import typer

from airlock_daemon.cli import ask, check, options, profile, show, start, version
from airlock_daemon.cli.chosen import Options
from airlock_daemon.cli.reporting import reporting

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
    context.obj = Options(config=config, sockets=sockets, agents=agents, json=json)


app.command("start")(start.start)
app.command("check")(check.check)
app.command("test", context_settings={"allow_interspersed_args": False})(ask.ask)
app.command("show")(show.show)
app.command("version")(version.version)
app.add_typer(profile.app, name="profile")


def run() -> None:
    """Run the application and exit with its status."""
    with reporting():
        app()
