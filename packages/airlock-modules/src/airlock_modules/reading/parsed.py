"""A request's arguments as values, parsed with an option table, or from their form alone.

Without a table the flags that take a value are unknown, so arguments are parsed by form:

- `--name=v` is the flag `--name` with the value `v`, cut at the first `=`; `--name` has no value.
- `-xREST` is the flag `-x` with the value `REST`; `-x` has no value.
- `-`, the empty string and everything else is positional.
- From the first `--` on, inclusive, everything is positional.
- A word directly after a flag without a value may be its value, and is not positional.

Clusters such as `-vo X`, abbreviations, and words after flags that take no value are recognised
only with an option table.
"""

import posixpath
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from msgspec import Struct

if TYPE_CHECKING:
    from airlock_modules.reading.option_table import FlagSpec


class Piece(Struct, frozen=True):
    """A text within argv, and its position.

    `argument` is the index of its argument, from 0, `offset` that of its first character. A value
    or word runs to the end of its argument.
    """

    text: str
    argument: int
    offset: int = 0


class Flag(Struct, frozen=True, kw_only=True):
    """A flag given by the client.

    `text` is its name as written, `argument` the index of its argument, from 0, `specs` its
    candidates: more than one if it abbreviates several names. `values` is empty without a value,
    and has several if the flag takes several or tools differ (`-x=v` is `=v` to some, `v` to
    others). `sure` is false if the next word may be its value or a word of its own. `command` is
    the subcommand it was given to.
    """

    text: str
    argument: int
    specs: "tuple[FlagSpec, ...]"
    values: tuple[Piece, ...] = ()
    sure: bool = True
    command: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The name to use in a message or as a rule."""
        return self.specs[0].name if len(self.specs) == 1 else self.text

    @property
    def names(self) -> tuple[str, ...]:
        """All names of all its candidates."""
        if len(self.specs) == 1:
            return self.specs[0].names
        return tuple(name for spec in self.specs for name in spec.names)

    @property
    def value(self) -> str | None:
        """Its first value, or None."""
        return self.values[0].text if self.values else None

    @property
    def takes_path(self) -> bool:
        """Whether its values are paths."""
        return any(spec.kind in ("PATH", "CHDIR", "EITHER") for spec in self.specs)


class PathUse(Struct, frozen=True):
    """A path that the tool would use: its text, and the index of the argument that names it.

    The path runs from character `offset` of that argument to its end. `offset` is None if no single
    argument holds the whole path, because the tool enters several directories in turn. `by` is the
    flag whose value it is, "" for a word. `base` is the directory that the tool enters first,
    relative to the working directory; "" is the working directory itself.
    """

    text: str
    argument: int
    offset: int | None
    by: str = ""
    base: str = ""

    @property
    def path(self) -> str:
        """The path relative to the working directory; not normalised."""
        return posixpath.join(self.base, self.text) if self.base else self.text


class Parsed(Struct, frozen=True, kw_only=True):
    """All arguments of a request, as the tool would parse them.

    `command` has the words of the subcommand, `globals` the flags before it, `flags` those after
    it. `words` are the operands, `rest` the arguments of another program (a container, a remote
    shell). `unknown` are arguments that the table cannot explain. `knows_command` is false if the
    subcommand is not in the table; everything after it is then unparsed in `rest`. `excess` is the
    argument at which parsing stopped, for too many flags in clusters.
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
