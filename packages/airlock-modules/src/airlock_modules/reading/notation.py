"""The notation in which an option table describes one flag of a tool.

A description is the flag's names, then what it takes, as the usage line of a manual has it:

| text | the flag |
|---|---|
| `-p --paginate` | has two names and takes nothing |
| `--repo VALUE` | takes a value: `--repo v`, `--repo=v`, glued to a short name `-xv` |
| `--filters VALUE...` | takes every following word up to the next flag |
| `--color[=WHEN]` | may have a value, joined only: `--color=v`, for a short name `-cv` |
| `--rm[=BOOL]` | takes nothing, though `--rm=true` is accepted |
| `--[no-]verify` | stands for two flags, `--verify` and `--no-verify` |
| `-<number>` | is a dash with digits: `-3` |

The word for the value matters where it is `PATH` (the tool opens it), `CHDIR` (the tool enters it
before it opens any other) or the name of a form (`FormName`; see `forms`), which the value must
have; every other word in capitals says the same as `VALUE`.
"""

import re
from functools import lru_cache
from typing import Literal, get_args

from msgspec import Struct
from msgspec.structs import replace

from airlock_modules.errors import NotationError
from airlock_wire.text import quote

Style = Literal["gnu", "go", "getopt"]
"""How a tool reads flags.

`gnu`: `--name`, letters that may be clustered behind one dash; `go`: `-name` equals `--name`, no
clusters; `getopt`: letters only, clustered.
"""
STYLES: tuple[Style, ...] = ("gnu", "go", "getopt")
NUMBER = "-<number>"

Takes = Literal["nothing", "value", "optional", "several", "unsure"]
Kind = Literal["VALUE", "PATH", "CHDIR", "EITHER"]
FormName = Literal["ID", "IMAGE", "OBJECT", "NETWORK", "COPY", "SCALE", "VALUE"]
FORM_NAMES: tuple[FormName, ...] = get_args(FormName)
Origin = Literal["global", "everywhere", "command"]

_NAME = re.compile(r"--?[^\s=\[\]<>*?-][^\s=\[\]<>*?]*|-[?#]")
_PLACEHOLDER = re.compile(r"([A-Z][A-Z0-9_=-]*)(\.\.\.)?")
_OPTIONAL = re.compile(r"(.*)\[=([A-Z][A-Z0-9_=-]*)\]")
_NEGATABLE = "--[no-]"
_FORMS: tuple[FormName, ...] = tuple(name for name in FORM_NAMES if name != "VALUE")
_KINDS: dict[str, Kind] = {"PATH": "PATH", "CHDIR": "CHDIR"}


class FlagSpec(Struct, frozen=True, kw_only=True):
    """One flag of a tool: all its names, and what it takes.

    `takes` is `unsure` where it is not said whether the next word is its value. `kind` says what
    the value is; `EITHER` is a path that the tool may enter or open. `negates` has the names of the
    flag that this one switches off. `origin` says where the tool accepts it: before the subcommand,
    everywhere, or behind the subcommand that its table belongs to. `form` is the form that a value
    must have, None for any.
    """

    names: tuple[str, ...]
    takes: Takes = "nothing"
    kind: Kind = "VALUE"
    negates: tuple[str, ...] = ()
    origin: Origin = "command"
    form: FormName | None = None

    @property
    def name(self) -> str:
        """The name to show: the first long one, or else the first."""
        return next((name for name in self.names if len(name) > 2), self.names[0])


# The subcommands of a tool share most of their flags: git's table has 4,400, of 1,100 kinds.
@lru_cache(maxsize=4096)
def parse_flag(text: str, *, style: Style, origin: Origin = "command") -> tuple[FlagSpec, ...]:
    """Read the description of a flag, which is two flags where it has `[no-]`.

    Raises `NotationError` with what is wrong in it.
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
        form=next((form for form in _FORMS if form == word), None),
    )
    if not negations:
        return (spec,)
    negations = tuple(normalise(name, style) for name in negations)
    negated = replace(
        spec, names=negations, takes="nothing", kind="VALUE", form=None, negates=spec.names
    )
    return (spec, negated)


def normalise(name: str, style: Style) -> str:
    """Return the one form of a flag's name in which tables, rules and arguments are compared."""
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
