"""The `[syntax]` of a module: by which option table its arguments are read.

It either names the table of a built-in module, `options = "git"`, or describes a small one:
`style`, `subcommands`, `abbreviations` and `interspersed`, as in the file of a table; `flags` in
its notation, or only the names of those that take a value, `value_flags`, and a path, `path_flags`;
and `path_words`, the subcommands whose words are paths.
"""

from airlock_modules.files.option_files import MAX_DEPTH, load_options, read_flags, read_style
from airlock_modules.files.toml_reader import TableReader
from airlock_modules.reading.flag_set import FlagSet
from airlock_modules.reading.notation import FlagSpec, Kind, Style, normalise
from airlock_modules.reading.option_table import OptionTable, Scope
from airlock_wire.text import quote


def read_syntax(syntax: TableReader, *, tool: str) -> OptionTable:
    """Return the option table; a faulty one is empty.

    A table that is described with `flags` is complete, and another flag is unknown to it. Without,
    other flags are known and take a value only where one is joined to them.
    """
    name = syntax.string("options")
    if name is None:
        return _read_small_table(syntax, tool=tool)
    try:
        return load_options(name)
    except KeyError:
        remedy = "write the name of a built-in module that has one, or describe the flags here"
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
