"""A request's arguments, parsed from their form alone.

Without a table the flags that take a value are unknown, so arguments are parsed by form:

- `--name=v` is the flag `--name` with the value `v`, cut at the first `=`; `--name` has no value.
- `-xREST` is the flag `-x` with the value `REST`; `-x` has no value.
- `-`, the empty string and everything else is positional.
- From the first `--` on, inclusive, everything is positional.
- A word directly after a flag without a value may be its value, and is not positional.

Clusters such as `-vo X`, abbreviations, and words after flags that take no value are recognised
only with an option table.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from airlock_modules.reading.parsed import PathUse

Role = Literal["flag", "positional", "maybe-value"]


class PlainArgument(Struct, frozen=True):
    """One argument: its `raw` text, the `flag` and `value` parsed from it, and its `role`.

    A flag without a value has the value None; one with an empty value has "".
    """

    raw: str
    role: Role
    flag: str | None = None
    value: str | None = None


class PlainReading(Struct, frozen=True):
    """All arguments of a request, indexed for rules.

    `raw` has the text of every argument, `positionals` the text of the positional ones, `flags`
    maps each flag to the indices, from 0, of its arguments.
    """

    arguments: tuple[PlainArgument, ...]
    raw: frozenset[str]
    positionals: frozenset[str]
    flags: dict[str, list[int]]

    @property
    def paths(self) -> tuple["PathUse", ...]:
        """None: only an option table says which arguments are paths."""
        return ()

    @property
    def keys(self) -> frozenset[str]:
        """The texts and flags that select the rules that may match."""
        return self.raw.union(self.flags)


def read_plain(args: Sequence[str]) -> PlainReading:
    """Parse a command's arguments, without argv[0], by form. Accepts any strings."""
    arguments = tuple(_read(args))
    flags: dict[str, list[int]] = {}
    for number, argument in enumerate(arguments):
        if argument.flag is not None:
            flags.setdefault(argument.flag, []).append(number)
    positionals = frozenset(each.raw for each in arguments if each.role == "positional")
    return PlainReading(arguments, frozenset(args), positionals, flags)


def _read(args: Sequence[str]) -> list[PlainArgument]:
    arguments: list[PlainArgument] = []
    flags_ended = False
    after_open_flag = False
    for raw in args:
        flags_ended = flags_ended or raw == "--"
        if flags_ended:
            argument = PlainArgument(raw, "positional")
        elif raw.startswith("-") and raw != "-":
            argument = _read_flag(raw)
        else:
            argument = PlainArgument(raw, "maybe-value" if after_open_flag else "positional")
        after_open_flag = argument.flag is not None and argument.value is None
        arguments.append(argument)
    return arguments


def _read_flag(raw: str) -> PlainArgument:
    if raw.startswith("--"):
        flag, equals, value = raw.partition("=")
        return PlainArgument(raw, "flag", flag, value if equals else None)
    return PlainArgument(raw, "flag", raw[:2], raw[2:] or None)
