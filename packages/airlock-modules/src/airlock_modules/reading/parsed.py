"""A request's arguments, parsed with an option table."""

import posixpath
from typing import TYPE_CHECKING

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
