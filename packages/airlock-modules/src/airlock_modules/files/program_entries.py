"""`[sandbox] programs` of a module: what a box that holds credentials may execute."""

from airlock_modules.files.box_places import is_plain
from airlock_modules.files.toml_reader import TableReader
from airlock_wire.text import quote

ANY_PROGRAM = "*"
ALL_BELOW = "/**"
"""At the end of a path: all files of that directory and of those in it."""
IF_THERE = "?"
"""At the end of an entry: it may be absent."""


def read_programs(table: TableReader) -> tuple[str, ...]:
    """Read the key: names on the daemon's PATH, and paths of the host; or `*` alone, for all.

    What may be absent ends in `?`. Faults are recorded by `table`.
    """
    programs = tuple(dict.fromkeys(table.strings("programs")))
    if ANY_PROGRAM in programs and len(programs) > 1:
        table.fault(
            "programs", f'"{ANY_PROGRAM}" has all others with it', "remove one or the other"
        )
    for entry in programs:
        path = entry.removesuffix(IF_THERE).removesuffix(ALL_BELOW)
        is_name = "/" not in entry and entry not in ("", ".", "..")
        if entry != ANY_PROGRAM and not is_name and (not is_plain(path) or ANY_PROGRAM in path):
            problem = f"{quote(entry)} is no program"
            remedy = 'write a name on PATH, a path like "~/.tool/helper", or a directory with all '
            table.fault("programs", problem, f'{remedy}in it, "~/.tool/plugins{ALL_BELOW}"')
    return programs
