"""The option table of a tool: its subcommands, their flags, and its argument syntax.

Tables of built-in modules are data files made from one version of the tool. A custom module names
one of them or describes a small one in `[syntax]`. A flag is described by its names, then its
value, as in a manual's usage line:

| text | the flag |
|---|---|
| `-p --paginate` | has two names and takes nothing |
| `--repo VALUE` | takes a value: `--repo v`, `--repo=v`, glued to a short name `-xv` |
| `--filters VALUE...` | takes every following word up to the next flag |
| `--color[=WHEN]` | may have a value, joined only: `--color=v`, for a short name `-cv` |
| `--rm[=BOOL]` | takes nothing, but `--rm=true` is accepted |
| `--[no-]verify` | stands for two flags, `--verify` and `--no-verify` |
| `-<number>` | is a dash with digits: `-3` |

The placeholder is significant if it is `PATH` (the tool opens it) or `CHDIR` (the tool enters it
before it opens any other path); any other word in capitals is the same as `VALUE`.
"""

import re
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Literal, Self

from msgspec import Struct
from msgspec.structs import force_setattr, replace

from airlock_wire.text import quote


class NotationError(ValueError):
    """An invalid flag description in an option table; the text says why."""


Style = Literal["gnu", "go", "getopt"]
"""How a tool parses flags.

`gnu`: `--name`, and letters that may be clustered; `go`: `-name` equals `--name`, no clusters;
`getopt`: letters only, clustered.
"""
STYLES: tuple[Style, ...] = ("gnu", "go", "getopt")
NUMBER = "-<number>"

Takes = Literal["nothing", "value", "optional", "several", "unsure"]
Kind = Literal["VALUE", "PATH", "CHDIR", "EITHER"]
Origin = Literal["global", "everywhere", "command"]

_NAME = re.compile(r"--?[^\s=\[\]<>*?-][^\s=\[\]<>*?]*|-[?#]")
_PLACEHOLDER = re.compile(r"([A-Z][A-Z0-9_=-]*)(\.\.\.)?")
_OPTIONAL = re.compile(r"(.*)\[=([A-Z][A-Z0-9_=-]*)\]")
_NEGATABLE = "--[no-]"
_KINDS: dict[str, Kind] = {"PATH": "PATH", "CHDIR": "CHDIR"}


class FlagSpec(Struct, frozen=True, kw_only=True):
    """One flag of a tool: all its names, and the values it takes.

    `takes` is `unsure` if it is not known whether the next word is its value. `kind` is the type of
    the value; `EITHER` is a path that the tool may enter or open. `negates` names the flag that
    this one switches off. `origin` is where the tool accepts it: before the subcommand, everywhere,
    or after the subcommand that lists it.
    """

    names: tuple[str, ...]
    takes: Takes = "nothing"
    kind: Kind = "VALUE"
    negates: tuple[str, ...] = ()
    origin: Origin = "command"

    @property
    def name(self) -> str:
        """The display name: the first longer than two characters, else the first."""
        return next((name for name in self.names if len(name) > 2), self.names[0])


# Subcommands share most of their flags: git's table has 4,400, of which 1,100 are distinct.
@lru_cache(maxsize=4096)
def parse_flag(text: str, *, style: Style, origin: Origin = "command") -> tuple[FlagSpec, ...]:
    """Parse a flag description; one with `[no-]` yields two flags.

    Raises `NotationError` if it is invalid.
    """
    names, takes, word = _split(text)
    kind = _KINDS.get(word, "VALUE")
    negations = tuple("--no-" + name.removeprefix(_NEGATABLE) for name in names if "[" in name)
    plain = tuple(name.replace(_NEGATABLE, "--", 1) for name in names)
    for name in plain:
        _check_name(name, style)
    spec = FlagSpec(
        names=tuple(normalise(name, style) for name in plain),
        takes=takes,
        kind=kind,
        origin=origin,
    )
    if not negations:
        return (spec,)
    negations = tuple(normalise(name, style) for name in negations)
    negated = replace(spec, names=negations, takes="nothing", kind="VALUE", negates=spec.names)
    return (spec, negated)


def normalise(name: str, style: Style) -> str:
    """Return the canonical name by which tables, rules and arguments compare a flag."""
    return name[1:] if style == "go" and name.startswith("--") else name


def _split(text: str) -> tuple[list[str], Takes, str]:
    names = text.split(" ")
    takes: Takes = "nothing"
    word = ""
    if len(names) > 1 and not names[-1].startswith("-"):
        found = _PLACEHOLDER.fullmatch(names.pop())
        if not found:
            raise NotationError(f"{quote(text)} does not end with a word in capitals")
        takes = "several" if found[2] else "value"
        word = found[1]
    elif found := _OPTIONAL.fullmatch(names[-1]):
        names[-1] = found[1]
        takes = "nothing" if found[2] == "BOOL" else "optional"
        word = found[2]
    return names, takes, word


def _check_name(name: str, style: Style) -> None:
    if name == NUMBER and style == "gnu":
        return
    if not _NAME.fullmatch(name):
        raise NotationError(f"{quote(name)} is not the name of a flag")
    if style == "getopt" and len(name) != 2:
        raise NotationError(f"{quote(name)} is not one letter behind one dash, as getopt has it")


class FlagSet(Struct, frozen=True, kw_only=True):
    """Flags by name.

    `longs` has the names with two dashes, sorted, to look up abbreviations. `own` are the flags
    described for this scope only.
    """

    exact: dict[str, FlagSpec]
    longs: tuple[str, ...]
    own: tuple[FlagSpec, ...]
    number: FlagSpec | None = None
    has_long_names_of_one_dash: bool = False

    @classmethod
    def of(cls, own: Iterable[FlagSpec], *, shared: Iterable[FlagSpec] = ()) -> Self:
        """Make a set of `own` and `shared` flags; `own` wins where both have a name."""
        mine = tuple(own)
        exact = {name: spec for spec in (*shared, *mine) for name in spec.names}
        return cls(
            exact=exact,
            longs=tuple(sorted(name for name in exact if name.startswith("--"))),
            own=mine,
            number=exact.get(NUMBER),
            has_long_names_of_one_dash=any(
                len(name) > 2 and name[1] != "-" and name != NUMBER for name in exact
            ),
        )

    def find(self, name: str, *, abbreviations: bool) -> tuple[FlagSpec, ...]:
        """Return the flags that a name may mean: none, one, or all that it abbreviates."""
        spec = self.exact.get(name)
        if spec is not None:
            return (spec,)
        if not abbreviations or len(name) < 3 or not name.startswith("--"):
            return ()
        found: list[FlagSpec] = []
        for at in range(bisect_left(self.longs, name), len(self.longs)):
            if not self.longs[at].startswith(name):
                break
            spec = self.exact[self.longs[at]]
            if spec not in found:
                found.append(spec)
        return tuple(found)


class Scope(Struct, frozen=True, kw_only=True):
    """How the arguments before a subcommand, or after one, are parsed.

    `key` has the words of the subcommand, () before it. With `interspersed` false the first operand
    ends the flags. With `stops` everything after the first operand belongs to another program, as
    after docker's image. `nested` means that longer subcommands begin with this one; it then has
    operands of its own only if `takes_words`. `path_words` means that its operands are paths,
    `is_open` that unlisted flags are accepted.
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


class OptionTable(Struct, frozen=True, kw_only=True):
    """The argument syntax of a tool.

    `version` is the tool's. `depth` is how many leading words may name the subcommand, `root` the
    scope before it. `commands` maps the words of each listed subcommand, joined by spaces, to its
    scope; `elsewhere` is the scope of unlisted subcommands, None if they are unknown. With
    `remote_command` the first word is a host, followed by flags and then another program's command
    line. `path_commands` are the subcommands, listed or not, whose operands are paths. `styles` are
    the styles of its scopes.
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
        """Compute `styles` from the scopes, ignoring any value passed."""
        found = dict.fromkeys(scope.style for scope in self.scopes())
        force_setattr(self, "styles", tuple(found))

    @property
    def is_closed(self) -> bool:
        """Whether a subcommand must be listed to be known."""
        return self.depth > 0 and self.elsewhere is None

    def spell(self, flag: str) -> tuple[str, ...]:
        """Return a flag's canonical name in each style of the scopes."""
        return tuple(dict.fromkeys(normalise(flag, style) for style in self.styles))

    def scopes(self) -> Iterable[Scope]:
        """Return every scope of the table."""
        yield self.root
        yield from self.commands.values()
        if self.elsewhere is not None:
            yield self.elsewhere


def add_unsure_flags(table: OptionTable, names: Iterable[str]) -> OptionTable:
    """Return the table with the undescribed flags that rules name.

    They are added as `unsure` to open scopes only, so that a rule sees a flag in every spelling
    although it is not known whether the flag takes a value.
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
            # Thousands of scopes may share one set of flags; keep it shared.
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
