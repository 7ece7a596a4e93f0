"""How arguments are read where the module has no option table: the reading of v0.4.

Without a table nobody knows which flags of a tool take a value, so this reading guesses by form:

- `--name=v` is the flag `--name` with the value `v`, cut at the first `=`; `--name` has no value.
- `-xREST` is the flag `-x` with the value `REST`; `-x` has no value.
- `-`, the empty string and everything else is positional.
- From the first `--` on, that word included, everything is positional and nothing is a flag.
- A word that directly follows a flag written without `=` may be that flag's value, and is then not
  taken for positional. This holds for `-xREST` too: `-chdir` could be one long flag.

What it misses (clusters such as `-vo X`, abbreviations, words after flags that take no value) can
be seen only with an option table of the tool.
"""

from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

Role = Literal["flag", "positional", "maybe-value"]


class Argument(Struct, frozen=True):
    """One argument: its `raw` text, the `flag` and `value` that it may be, and its `role`.

    A flag without a value has the value None; one with an empty value has "".
    """

    raw: str
    role: Role
    flag: str | None = None
    value: str | None = None


class Reading(Struct, frozen=True):
    """All arguments of a request, and where each text, positional and flag is found.

    `raw` and `positional` give the place (from 0) of the first argument with that text, `flags` the
    places of all arguments with that flag. They make looking a rule up independent of how many
    arguments there are.
    """

    arguments: tuple[Argument, ...]
    raw: dict[str, int]
    positional: dict[str, int]
    flags: dict[str, list[int]]


def read_arguments(args: Sequence[str]) -> Reading:
    """Read the arguments of a command, its own name not among them. Any strings will do."""
    reading = Reading(tuple(_read(args)), {}, {}, {})
    for place, argument in enumerate(reading.arguments):
        reading.raw.setdefault(argument.raw, place)
        if argument.flag is not None:
            reading.flags.setdefault(argument.flag, []).append(place)
        elif argument.role == "positional":
            reading.positional.setdefault(argument.raw, place)
    return reading


def _read(args: Sequence[str]) -> list[Argument]:
    arguments: list[Argument] = []
    flags_ended = False
    after_open_flag = False
    for raw in args:
        flags_ended = flags_ended or raw == "--"
        if flags_ended:
            argument = Argument(raw, "positional")
        elif raw.startswith("-") and raw != "-":
            argument = _read_flag(raw)
        else:
            argument = Argument(raw, "maybe-value" if after_open_flag else "positional")
        after_open_flag = argument.flag is not None and "=" not in raw
        arguments.append(argument)
    return arguments


def _read_flag(raw: str) -> Argument:
    if raw.startswith("--"):
        flag, equals, value = raw.partition("=")
        return Argument(raw, "flag", flag, value if equals else None)
    return Argument(raw, "flag", raw[:2], raw[2:] or None)
