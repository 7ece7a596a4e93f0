"""The option table of a tool: its subcommands, their flags, and how its arguments are written.

The tables of the built-in modules are data beside them, taken from one version of the tool. A
module of one's own names such a table or describes a small one in its `[syntax]`.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from airlock_modules.reading.flag_set import FlagSet
from airlock_modules.reading.notation import FlagSpec, FormName, Style, normalise


class Scope(Struct, frozen=True, kw_only=True):
    """How the arguments before a subcommand are read, or those behind one.

    `key` has the words of the subcommand, () before it. With `interspersed` false the first word
    that is no flag ends the flags. `stops` says that everything behind the first such word belongs
    to another program, as behind docker's image. `nested` says that longer subcommands begin with
    this one; then another word is its own only if `takes_words`. `path_words` says that its words
    are paths, `is_open` that flags which are not listed are taken for known. `forms` are those that
    its words must have, one each, the last for all behind it; none where any text will do.
    """

    key: tuple[str, ...]
    flags: FlagSet
    style: Style
    abbreviations: bool = False
    interspersed: bool = True
    stops: bool = False
    nested: bool = False
    takes_words: bool = True
    path_words: bool = False
    is_open: bool = False
    forms: tuple[FormName, ...] = ()


class OptionTable(Struct, frozen=True, kw_only=True):
    """What is known of a tool's arguments.

    `version` is that of the tool. `depth` is how many leading words may name the subcommand, `root`
    the scope before it. `commands` has the scopes behind the listed subcommands, by their words
    joined by spaces, and `elsewhere` is the scope behind one that is not listed, None where such a
    one is unknown. With `remote_command` the first word is a host, behind which flags may follow
    and then the command line of another program. `path_commands` has the subcommands whose words
    are paths, listed or not. `styles` are those of its scopes.
    """

    tool: str
    version: str = ""
    depth: int
    root: Scope
    commands: Mapping[str, Scope]
    elsewhere: Scope | None
    remote_command: bool = False
    path_commands: frozenset[str] = frozenset()
    styles: tuple[Style, ...] = ()

    def __post_init__(self) -> None:
        """Find the styles of the scopes, whatever is passed for them."""
        found = dict.fromkeys(scope.style for scope in self.scopes())
        force_setattr(self, "styles", tuple(found))

    @property
    def is_closed(self) -> bool:
        """Whether a subcommand must be listed to be known."""
        return self.depth > 0 and self.elsewhere is None

    def spell(self, flag: str) -> tuple[str, ...]:
        """Return the names by which a flag that a person wrote is found in the scopes."""
        return tuple(dict.fromkeys(normalise(flag, style) for style in self.styles))

    def scopes(self) -> Iterable[Scope]:
        """Return every scope that flags are described for."""
        yield self.root
        yield from self.commands.values()
        if self.elsewhere is not None:
            yield self.elsewhere


def add_unsure_flags(table: OptionTable, names: Iterable[str]) -> OptionTable:
    """Return the table with flags that rules name though no description has them.

    Only scopes that take unlisted flags for known ones get them: there a rule must see through
    every spelling of a flag, and it is not said whether the flag takes a value.
    """
    if not any(scope.is_open for scope in table.scopes()):
        return table
    specs = tuple(
        FlagSpec(names=(name,), takes="unsure")
        for name in dict.fromkeys(each for name in names for each in table.spell(name))
    )

    extended: dict[int, FlagSet] = {}

    def add(scope: Scope) -> Scope:
        if not scope.is_open:
            return scope
        known = scope.flags
        if id(known) not in extended:
            # Thousands of scopes may share one set of flags, and go on sharing it.
            new = [spec for spec in specs if spec.names[0] not in known.exact]
            shared = [spec for spec in known.exact.values() if spec not in known.own]
            extended[id(known)] = FlagSet.of((*known.own, *new), shared=shared)
        return replace(scope, flags=extended[id(known)])

    return replace(
        table,
        root=add(table.root),
        commands={key: add(scope) for key, scope in table.commands.items()},
        elsewhere=None if table.elsewhere is None else add(table.elsewhere),
    )
