"""`--list` of the commands that look for faults."""

from collections.abc import Mapping

import typer

from airlock_daemon.cli.application import Application


def list_looked_at(application: Application, looked_at: Mapping[str, str]) -> None:
    """Print the name of each thing that is looked at and what it is, a line each."""
    if application.json:
        application.print_json(dict(looked_at))
        return
    width = max(map(len, looked_at))
    for name, what in looked_at.items():
        typer.echo(f"{name:{width}}  {what}")
