"""The plain `start`, read without Typer: a daemon need not keep its memory, nor wait for it."""

from collections.abc import Sequence

from airlock_daemon.cli.application import Application

_VALUED = ("config", "sockets", "agents")


def read_start(words: Sequence[str]) -> Application | None:
    """The application of a plain `start`; None for anything else, which Typer then looks at."""
    values: dict[str, str] = {}
    commands: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        if not word.startswith("-"):
            commands.append(word)
        elif word.startswith("--") and name in _VALUED:
            values[name] = value if equals else next(rest, "")
            if not values[name] or values[name].startswith("-"):
                return None
        else:
            return None
    if commands != ["start"]:
        return None
    return Application(
        config=values.get("config"), sockets=values.get("sockets"), agents=values.get("agents")
    )
