"""`airlock version`, with other options."""

import typer

from airlock_daemon._version import __version__
from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.options import pass_obj

app = typer.Typer(add_completion=False, rich_markup_mode=None)


@app.command()
@pass_obj
def version(application: Application) -> None:
    """Print the version."""
    application.print({"version": __version__}, [f"airlock-daemon {__version__}"])
