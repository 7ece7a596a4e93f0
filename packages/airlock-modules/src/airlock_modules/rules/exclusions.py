"""Why a module does not list what it does not list.

An entry names a subcommand, a flag, or a flag of a subcommand: `credential`, `* delete-*`,
`--privileged`, `config --list`, `-o=ProxyCommand*`. The words of a subcommand are patterns, and
those that begin it are enough. An entry decides nothing: what is not listed is refused anyway.
"""

from collections.abc import Sequence

from msgspec import Struct

from airlock_modules.errors import RuleError
from airlock_modules.reading.option_table import OptionTable
from airlock_modules.reading.parsed import Flag
from airlock_modules.rules.globs import Glob, parse_pattern
from airlock_modules.rules.grammar_rules import FlagPart, parse_flag_part


class Exclusion(Struct, frozen=True):
    """What is not listed, by the words of its subcommand and by its flag, and the reason."""

    words: tuple[Glob, ...]
    flag: FlagPart | None
    reason: str

    def covers(self, command: Sequence[str], flag: Flag | None) -> bool:
        """Tell whether this is about a subcommand, or about a flag that was given to it."""
        if len(self.words) > len(command) or (self.flag is None) != (flag is None):
            return False
        if self.flag is not None and flag is not None and not self.flag.describes(flag):
            return False
        return all(glob.matches(word) for glob, word in zip(self.words, command, strict=False))


def parse_exclusion(text: str, table: OptionTable, reason: str) -> Exclusion:
    """Read one entry. Raises `RuleError` for no text, an invalid pattern, and what is no flag."""
    if not text:
        raise RuleError("an entry must have text")
    words: list[Glob] = []
    rest = text
    while rest and not rest.startswith("-"):
        word, _, rest = rest.partition(" ")
        words.append(parse_pattern(word))
    return Exclusion(tuple(words), parse_flag_part(rest, table) if rest else None, reason)
