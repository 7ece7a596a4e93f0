"""The options that all commands share, as they were chosen."""

from collections.abc import Sequence

import msgspec

from airlock_daemon.setup.paths import Locations, locate

_VALUED = ("config", "sockets", "agents")


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """The four options, as far as they were given."""

    config: str | None = None
    sockets: str | None = None
    agents: str | None = None
    json: bool = False

    def locations(self) -> Locations:
        """Where the files are by these options."""
        return locate(config=self.config, sockets=self.sockets, agents=self.agents)


def read_start(words: Sequence[str]) -> Options | None:
    """The options of a plain `start`; None for whatever else, which Typer then looks at.

    A daemon that needs no command line any more need not keep Typer's memory, nor wait for it.
    """
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
    return Options(
        config=values.get("config"), sockets=values.get("sockets"), agents=values.get("agents")
    )
