"""The reading of an argument vector by an option table: a value to be compared and printed."""

import posixpath

from msgspec import Struct

from airlock_modules.reading.notation import FlagSpec


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
