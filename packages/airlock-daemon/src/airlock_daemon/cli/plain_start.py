"""The plain `start`, read without Typer: a daemon need not keep its memory, nor wait for it."""

from collections.abc import Sequence

from airlock_daemon.cli.application import Application
from airlock_daemon.cli.plain_words import read_plain


def read_start(words: Sequence[str]) -> Application | None:
    """The application of a plain `start`; None for anything else, which Typer then looks at."""
    values = read_plain(words, command="start")
    if values is None:
        return None
    return Application(
        config=values.get("config"), sockets=values.get("sockets"), agents=values.get("agents")
    )
