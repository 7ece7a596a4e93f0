"""`airlock reject`."""

from typing import Annotated

import typer

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.questions import asking
from airlock_daemon.setup import answering


def reject(
    application: Application,
    wanted: Annotated[str, typer.Argument(metavar="ID", help="The question's id.")],
    reason: Annotated[
        str, typer.Option("--reason", metavar="TEXT", help="What the agent is told.")
    ] = "",
) -> None:
    """Refuse an operation that waits for a person.

    The agent is told so, with the reason: git prints it as the remote's words. Equal operations are
    refused for 15 minutes without asking you again.

    \b
        airlock reject K7M2PQ --reason "wait for the release"
    """
    with asking(application, answering.Reject(id=wanted.upper(), reason=reason)) as replies:
        next(replies)
    application.print({"rejected": wanted.upper()}, [f"rejected: {wanted.upper()}"])
