"""Reading option tables: `options.toml`, the built-in ones, and a module's `[syntax]`.

An `options.toml` has, besides `tool`, `version` and `source`:

- `style`, `abbreviations`, `interspersed`, which a command may override;
- `subcommands`: how many leading words can name the subcommand; 0 for none;
- `global`: flags before the subcommand; `everywhere`: flags before and after it;
- `[commands.NAME]` or `[commands."NAME NESTED"]` with `flags`, `stops = "first-word"`, and `words`,
  the type of its operands: `"values"`, `"paths"`, or `"none"`, the default of a command with nested
  ones; `[commands.""]` is for no subcommand; `also` lists aliases of the command;
- `open`: unlisted subcommands, and unlisted flags after a subcommand, are accepted;
- `remote_command`, for which see `OptionTable`.

The `[syntax]` of a module names the table of a built-in module, `options = "git"`, or describes a
small one: `style`, `subcommands`, `abbreviations` and `interspersed` as above; `flags` in the same
notation, or only the names of those that take a value, `value_flags`, and a path, `path_flags`;
and `path_words`, the subcommands whose operands are paths.
"""

import functools
from collections.abc import Sequence

from msgspec.structs import replace

from airlock_modules.files.builtins import builtin_options
from airlock_modules.files.toml_reader import Fault, ModuleError, TableReader
from airlock_modules.reading.option_table import (
    STYLES,
    FlagSet,
    FlagSpec,
    Kind,
    NotationError,
    OptionTable,
    Origin,
    Scope,
    Style,
    normalise,
    parse_flag,
)
from airlock_wire.text import quote

MAX_DEPTH = 4
"""Maximum number of words in a subcommand."""


@functools.cache
def load_options(name: str) -> OptionTable:
    """Return the option table of a built-in module. Raises `KeyError` if it has none."""
    return parse_options(builtin_options(name), f"option table {name}")


def parse_options(text: str, source: str) -> OptionTable:
    """Parse an option table; faults call it `source`. Raises `ModuleError` with all faults."""
    faults: list[Fault] = []
    reader = TableReader.parse(text, source=source, faults=faults)
    if reader is None:
        raise ModuleError(faults)
    table = _read_table(reader)
    reader.finish()
    if faults:
        raise ModuleError(faults)
    return table


def read_style(reader: TableReader, *, default: Style) -> Style:
    """Return the value of the key `style`."""
    text = reader.choice("style", STYLES, default=default)
    return next(style for style in STYLES if style == text)


def read_flags(
    reader: TableReader, key: str, *, style: Style, origin: Origin
) -> tuple[FlagSpec, ...]:
    """Return the flags described under a key; `reader` records faults."""
    specs: list[FlagSpec] = []
    names: set[str] = set()
    for number, text in enumerate(reader.strings(key), start=1):
        try:
            found = parse_flag(text, style=style, origin=origin)
        except NotationError as error:
            remedy = "write NAMES, NAMES VALUE or NAMES[=VALUE]"
            reader.fault(key, f"item {number}: {error}", remedy)
            continue
        for name in (name for spec in found for name in spec.names):
            if name in names:
                reader.fault(key, f"item {number}: {quote(name)} is there twice", "remove one")
            names.add(name)
        specs += found
    return tuple(specs)


def _read_table(reader: TableReader) -> OptionTable:
    style = read_style(reader, default="gnu")
    depth = reader.integer("subcommands", default=0, minimum=0, maximum=MAX_DEPTH)
    is_open = reader.boolean("open", default=False)
    everywhere = read_flags(reader, "everywhere", style=style, origin="everywhere")
    tables = reader.table("commands").tables()
    root = _read_root(reader, tables.pop("", None), style=style, everywhere=everywhere)
    commands: dict[str, Scope] = {}
    for key, table in tables.items():
        scope = _read_command(table, key, root=root, everywhere=everywhere, is_open=is_open)
        commands[key] = scope
        for name in table.strings("also"):
            if name in tables or name in commands:
                table.fault("also", f"{quote(name)} is there twice", "remove one")
            commands[name] = replace(scope, key=tuple(name.split(" ")))
    for key in commands:
        _check_key(reader.table("commands"), key, depth=depth)
    commands = _add_groups(commands, root=root, everywhere=everywhere)
    reader.string("source", required=True)  # where the data came from, for people
    if depth and not commands and not is_open:
        reader.fault("commands", "lists none", "list them, or write open = true")
    return OptionTable(
        tool=reader.string("tool", required=True),
        version=reader.string("version", required=True),
        depth=depth,
        root=root,
        commands=_mark_nested(commands),
        elsewhere=_make_elsewhere(root, everywhere) if is_open else None,
        remote_command=reader.boolean("remote_command", default=False),
    )


def _read_root(
    reader: TableReader, bare: TableReader | None, *, style: Style, everywhere: Sequence[FlagSpec]
) -> Scope:
    flags = read_flags(reader, "global", style=style, origin="global")
    path_words = False
    if bare is not None:
        flags += read_flags(bare, "flags", style=style, origin="command")
        path_words = bare.choice("words", ("values", "paths"), default="values") == "paths"
    return Scope(
        key=(),
        flags=FlagSet.of((*everywhere, *flags)),
        style=style,
        abbreviations=reader.boolean("abbreviations", default=False),
        interspersed=reader.boolean("interspersed", default=True),
        path_words=path_words,
    )


def _read_command(
    table: TableReader, key: str, *, root: Scope, everywhere: Sequence[FlagSpec], is_open: bool
) -> Scope:
    style = read_style(table, default=root.style)
    words = table.choice("words", ("none", "values", "paths"), default="")
    return Scope(
        key=tuple(key.split(" ")),
        flags=FlagSet.of(
            read_flags(table, "flags", style=style, origin="command"), shared=everywhere
        ),
        style=style,
        abbreviations=table.boolean("abbreviations", default=root.abbreviations),
        interspersed=table.boolean("interspersed", default=root.interspersed),
        stops=table.choice("stops", ("first-word", "never"), default="never") == "first-word",
        # _mark_nested resolves an absent `words`, since it knows the other commands.
        takes_words=words != "none",
        nested=words == "",
        path_words=words == "paths",
        is_open=table.boolean("open", default=is_open),
    )


def _mark_nested(commands: dict[str, Scope]) -> dict[str, Scope]:
    beginnings = {
        scope.key[:length] for scope in commands.values() for length in range(1, len(scope.key))
    }

    def mark(scope: Scope) -> Scope:
        nested = scope.key in beginnings
        return replace(
            scope,
            nested=nested,
            takes_words=scope.takes_words and not (nested and scope.nested),
            # An unlisted flag could take the rest of the subcommand as its value.
            is_open=scope.is_open and not nested,
        )

    return {key: mark(scope) for key, scope in commands.items()}


def _add_groups(
    commands: dict[str, Scope], *, root: Scope, everywhere: Sequence[FlagSpec]
) -> dict[str, Scope]:
    """Add scopes for prefixes of subcommands that are not subcommands themselves."""
    groups: dict[str, Scope] = {}
    flags = FlagSet.of((), shared=everywhere)
    for scope in commands.values():
        for length in range(1, len(scope.key)):
            key = scope.key[:length]
            groups[" ".join(key)] = replace(root, key=key, flags=flags, takes_words=False)
    return groups | commands


def _make_elsewhere(root: Scope, everywhere: Sequence[FlagSpec]) -> Scope:
    return replace(root, flags=FlagSet.of((), shared=everywhere), path_words=False, is_open=True)


def _check_key(commands: TableReader, key: str, *, depth: int) -> None:
    words = key.split(" ")
    if "" in words:
        commands.fault(key, "has a space too many", "write one space between its words")
    elif len(words) > depth:
        problem = f"has {len(words)} words, and subcommands says {depth}"
        commands.fault(key, problem, f"write subcommands = {len(words)}")


def read_syntax(syntax: TableReader, *, tool: str) -> OptionTable:
    """Return the option table of `[syntax]`, empty if it is faulty.

    With `flags` the table is complete and any other flag unknown. Without, unlisted flags are
    accepted and have a value only if it is joined.
    """
    name = syntax.string("options")
    if name is None:
        return _read_small_table(syntax, tool=tool)
    try:
        return load_options(name)
    except KeyError:
        remedy = "write the name of a built-in module that has one, or describe the flags here"
        if name == "docker":
            # Of earlier releases, which judged the words of a command.
            remedy = (
                "remove it with its rules: [docker] of a profile says what may be asked of the "
                "engine (images, registries, push, read, network)"
            )
        syntax.fault("options", f"{quote(name)} has no option table", remedy)
        empty = Scope(key=(), flags=FlagSet.of(()), style="gnu")
        return OptionTable(tool=tool, depth=0, root=empty, commands={}, elsewhere=None)


def _read_small_table(syntax: TableReader, *, tool: str) -> OptionTable:
    style = read_style(syntax, default="gnu")
    is_open = not syntax.has("flags")
    specs = list(read_flags(syntax, "flags", style=style, origin="command"))
    described = {name for spec in specs for name in spec.names}
    paths = _read_names(syntax, "path_flags", style)
    for name in dict.fromkeys((*paths, *_read_names(syntax, "value_flags", style))):
        if name in described:
            syntax.fault("flags", f"{quote(name)} is described twice", "describe it in flags only")
        kind: Kind = "EITHER" if name in paths else "VALUE"
        specs.append(FlagSpec(names=(name,), takes="value", kind=kind))
    scope = Scope(
        key=(),
        flags=FlagSet.of(specs),
        style=style,
        abbreviations=syntax.boolean("abbreviations", default=False),
        interspersed=syntax.boolean("interspersed", default=True),
        is_open=is_open,
    )
    return OptionTable(
        tool=tool,
        depth=syntax.integer("subcommands", default=0, minimum=0, maximum=MAX_DEPTH),
        root=scope,
        commands={},
        elsewhere=scope,
        path_commands=frozenset(syntax.strings("path_words")),
    )


def _read_names(syntax: TableReader, key: str, style: Style) -> tuple[str, ...]:
    names = syntax.strings(key)
    for name in names:
        if not name.startswith("-") or name in ("-", "--") or "=" in name:
            syntax.fault(key, f"{quote(name)} is not the name of a flag", "write its name alone")
    return tuple(normalise(name, style) for name in names)
