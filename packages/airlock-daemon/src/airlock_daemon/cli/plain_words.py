"""Command lines that are read without Typer, whose memory and time they can do without."""

from collections.abc import Sequence

_VALUED = ("config", "sockets", "agents")


def read_plain(words: Sequence[str], *, command: str, flag: str = "") -> dict[str, str] | None:
    """The values of the shared options, where `words` are nothing but those, `command` and `flag`.

    None for anything else, which Typer then looks at.
    """
    values: dict[str, str] = {}
    others: list[str] = []
    rest = iter(words)
    for word in rest:
        name, equals, value = word.removeprefix("--").partition("=")
        if word == flag or not word.startswith("-"):
            others.append(word)
        elif word.startswith("--") and name in _VALUED:
            values[name] = value if equals else next(rest, "")
            if not values[name] or values[name].startswith("-"):
                return None
        else:
            return None
    return values if others == [command, *filter(None, [flag])] else None
