"""`airlock version`, with other options."""

from airlock_daemon._version import __version__
from airlock_daemon.admin.cli.application import Application


def version(application: Application) -> None:
    """Print the version."""
    application.print({"version": __version__}, [f"airlock-daemon {__version__}"])
