"""How the arguments of a request were read: by an option table, or by their form alone.

Without a table it is not known which flags of a tool take a value, so this reading goes by form:

- `--name=v` is the flag `--name` with the value `v`, cut at the first `=`; `--name` has no value.
- `-xREST` is the flag `-x` with the value `REST`; `-x` has no value.
- `-`, the empty string and everything else is positional.
- From the first `--` on, that word included, everything is positional and nothing is a flag.
- A word that directly follows a flag without a value may be its value, and is not positional.

What it misses (clusters such as `-vo X`, abbreviations, words after flags that take no value) can
be seen only with an option table of the tool.
"""

import posixpath
from collections.abc import Sequence
from typing import Literal

from msgspec import Struct

from airlock_modules.reading.option_table import FlagSpec


class Piece(Struct, frozen=True):
    """Some text of an argument vector, and where it stands.

    `argument` is the number of its argument, from 0, and `offset` the number of the character in
    that argument with which it begins. A value and a word run to the end of their argument.
    """

    text: str
    argument: int
    offset: int = 0


class Flag(Struct, frozen=True, kw_only=True):
    """A flag that was given.

    `text` is its name as written, `argument` the number of its argument, from 0, and `specs` what
    it may be: more than one where it is the beginning of several names. `values` has its value; it
    is empty where there is none, and has more than one where the flag takes several or where tools
    differ (`-x=v` is `=v` to some and `v` to others). They are not `sure` where the next word may
    be the flag's value and may be a word of its own. `command` is the subcommand it was given to.
    """

    text: str
    argument: int
    specs: tuple[FlagSpec, ...]
    values: tuple[Piece, ...] = ()
    sure: bool = True
    command: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name to call it by in a message or as a rule."""
        return self.specs[0].name if len(self.specs) == 1 else self.text

    @property
    def names(self) -> tuple[str, ...]:
        """Every name of everything that it may be."""
        if len(self.specs) == 1:
            return self.specs[0].names
        return tuple(name for spec in self.specs for name in spec.names)

    @property
    def value(self) -> str | None:
        """The first of its values, None where it has none."""
        return self.values[0].text if self.values else None

    @property
    def takes_path(self) -> bool:
        """Whether its values are paths."""
        return any(spec.kind in ("PATH", "CHDIR", "EITHER") for spec in self.specs)


class PathUse(Struct, frozen=True):
    """A path that the tool would use: its text, and the number of the argument that names it.

    The path runs from the character `offset` of that argument to its end. `offset` is None where
    the path stands in no argument as a whole, because the tool enters several directories one after
    the other. `by` is the name of the flag whose value it is, "" for a word. `base` is the
    directory that the tool enters first, from that of the run; "" is that of the run itself.
    """

    text: str
    argument: int
    offset: int | None
    by: str = ""
    base: str = ""

    @property
    def path(self) -> str:
        """Where it leads from the directory of the run; not normalised."""
        return posixpath.join(self.base, self.text) if self.base else self.text


class Malformed(Struct, frozen=True):
    """A word, or a value of the flag `by`, that is not what it must be: `expected`."""

    piece: Piece
    expected: str
    by: str = ""


class Parsed(Struct, frozen=True, kw_only=True):
    """All arguments of a request, as the tool would take them.

    `command` has the words of the subcommand, `globals` the flags before it and `flags` those
    behind it. `words` are the other words that the tool takes, `rest` is what belongs to another
    program (a container, a remote shell). `unknown` are arguments that the table cannot explain.
    `knows_command` is false where the subcommand is not in the table; then nothing behind it was
    read and all of it is in `rest`. `excess` is an argument at which reading was given up, because
    more flags stand behind the dashes of others than are read. `malformed` are words and values
    that do not have the form which the table prescribes.
    """

    command: tuple[str, ...] = ()
    knows_command: bool = True
    globals: tuple[Flag, ...] = ()
    flags: tuple[Flag, ...] = ()
    words: tuple[Piece, ...] = ()
    rest: tuple[str, ...] = ()
    unknown: tuple[Piece, ...] = ()
    excess: Piece | None = None
    paths: tuple[PathUse, ...] = ()
    malformed: tuple[Malformed, ...] = ()


Role = Literal["flag", "positional", "maybe-value"]


class PlainArgument(Struct, frozen=True):
    """One argument: its `raw` text, the `flag` and `value` that it may be, and its `role`.

    A flag without a value has the value None; one with an empty value has "".
    """

    raw: str
    role: Role
    flag: str | None = None
    value: str | None = None


class PlainReading(Struct, frozen=True):
    """All arguments of a request, and what a rule looks up among them.

    `raw` has the text of every argument, `positionals` that of those which are positional, `flags`
    for each flag the numbers, from 0, of the arguments that are this flag.
    """

    arguments: tuple[PlainArgument, ...]
    raw: frozenset[str]
    positionals: frozenset[str]
    flags: dict[str, list[int]]

    @property
    def keys(self) -> frozenset[str]:
        """The texts and flags by which rules are found that may match."""
        return self.raw.union(self.flags)


def read_plain(args: Sequence[str]) -> PlainReading:
    """Read the arguments of a command, its own name not among them. Any strings will do."""
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
