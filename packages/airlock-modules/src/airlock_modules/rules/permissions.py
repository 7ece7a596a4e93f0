"""What a module permits by name: subcommands, and for each the flags that it may have.

Nothing that is not listed is permitted. A flag is listed by any of its names, or by a name with a
pattern, `--push-option=ci.*`, which every value must then match. Listing a flag permits its
negation, `--no-NAME`, too. `*` lists all flags that are the subcommand's own.
"""

from collections.abc import Sequence

from msgspec import Struct

from airlock_modules.errors import RuleError
from airlock_modules.reading.notation import FlagSpec
from airlock_modules.reading.option_table import OptionTable
from airlock_modules.reading.parsed import Flag, Parsed
from airlock_modules.rules.globs import Glob, parse_pattern
from airlock_wire.text import quote

EVERYTHING = "*"


class Permission(Struct, frozen=True):
    """The flags that are permitted for one subcommand: by name, or by name and value."""

    entries: tuple[str, ...] = ()
    everything: bool = False
    names: frozenset[str] = frozenset()
    patterns: dict[str, tuple[Glob, ...]] = {}

    def permits(self, spec: FlagSpec, flag: Flag) -> bool:
        """Tell whether the flag is listed, if it is what `spec` describes."""
        if any(name in self.names for name in (*spec.names, *spec.negates)):
            return True
        if not self.patterns:
            return False
        if any(name in self.patterns for name in spec.negates):
            return True
        globs = [glob for name in spec.names for glob in self.patterns.get(name, ())]
        return (
            flag.sure
            and bool(flag.values)
            and all(any(glob.permits(value.text) for glob in globs) for value in flag.values)
        )


class AllowList(Struct, frozen=True, kw_only=True):
    """The flags that any subcommand may have before it or as shared ones, and each subcommand's.

    `commands` has those that were written out, `patterns` those with wildcards, by word.
    """

    flags: Permission
    commands: dict[str, Permission]
    patterns: tuple[tuple[tuple[Glob, ...], Permission], ...] = ()

    def find_command(self, command: tuple[str, ...]) -> Permission | None:
        """Return what is permitted for a subcommand, or None where it is not listed.

        The subcommand as written goes before patterns, and these before each other as they stand.
        """
        permission = self.commands.get(" ".join(command))
        if permission is not None:
            return permission
        for globs, permission in self.patterns:
            if len(globs) == len(command) and all(
                glob.permits(word) for glob, word in zip(globs, command, strict=True)
            ):
                return permission
        return None

    def find_refused(self, table: OptionTable, parsed: Parsed) -> Flag | None:
        """Return the first flag of a reading that is not permitted in all that it may mean."""
        home = self.find_command(parsed.command) or Permission()
        is_bare = not parsed.command
        for flag in (*parsed.globals, *parsed.flags):
            own = home
            if table.commands and flag.command != parsed.command:
                own = self.find_command(flag.command) or Permission()
            for spec in flag.specs:
                if spec.origin == "command" or is_bare:
                    permitted = own.everything or own.permits(spec, flag)
                else:
                    permitted = spec.origin == "everywhere" and home.permits(spec, flag)
                if not (permitted or self.flags.permits(spec, flag)):
                    return flag
        return None


def parse_permission(entries: Sequence[str], table: OptionTable) -> Permission:
    """Read a list of flags. Raises `RuleError` for an entry that is none or has a bad pattern."""
    names: set[str] = set()
    patterns: dict[str, tuple[Glob, ...]] = {}
    for entry in entries:
        if entry == EVERYTHING:
            continue
        name, equals, pattern = entry.partition("=")
        if not name.startswith("-") or name in ("-", "--"):
            raise RuleError(f"{quote(entry)} is not a flag, a flag with a pattern, or *")
        if not equals:
            names.update(table.spell(name))
            continue
        for spelling in table.spell(name):
            patterns[spelling] = (*patterns.get(spelling, ()), parse_pattern(pattern))
    return Permission(tuple(entries), EVERYTHING in entries, frozenset(names), patterns)


def parse_command_pattern(key: str) -> tuple[Glob, ...] | None:
    """Return a pattern for each word of a listed subcommand, or None where it has no wildcards.

    Raises `RuleError` for an invalid pattern.
    """
    globs = tuple(parse_pattern(word) for word in key.split(" "))
    return globs if any(glob.literal is None for glob in globs) else None
