"""`airlock-daemon version`."""

import typer

from airlock_daemon._version import __version__


def version() -> None:
    """Print the version."""
    typer.echo(__version__)
