"""What is wrong in a file that a person wrote, said so that the person can mend it."""

import re
from collections.abc import Iterable

from msgspec import Struct

# A dotted key as TOML writes it: bare parts, or parts in double quotes.
_FIRST_PART = re.compile(r'(?:"(?:[^"\\]|\\.)*"|[^."]+)')
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")


class Fault(Struct, frozen=True):
    """One fault of one file.

    `source` is the path or name of the file, `key` the dotted TOML key ("" means the whole file),
    `problem` what is wrong there, `remedy` what to do about it.
    """

    source: str
    key: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """Return the fault as one line: `FILE: [table] key: problem; remedy`."""
        where = f"{self.source}: "
        if self.key:
            first = _FIRST_PART.match(self.key)
            table = first.group() if first else self.key
            rest = self.key[len(table) + 1 :]
            where += f"[{table}] {rest}: " if rest else f"{table}: "
        return f"{where}{self.problem}; {self.remedy}"


class ModuleError(Exception):
    """A module file or an option table cannot be used. `faults` has all that is wrong in it."""

    def __init__(self, faults: Iterable[Fault]) -> None:
        """Make the error of these faults; its text is one line for each."""
        self.faults: tuple[Fault, ...] = tuple(faults)
        super().__init__("\n".join(str(fault) for fault in self.faults))


def join_key(parts: tuple[str, ...]) -> str:
    """Return the dotted form of a key, its parts quoted where TOML asks for it."""
    return ".".join(_quote_part(part) for part in parts)


def _quote_part(part: str) -> str:
    if _BARE_KEY.fullmatch(part):
        return part
    escaped = "".join(
        f"\\u{ord(char):04X}" if not char.isprintable() else f"\\{char}" if char in '"\\' else char
        for char in part
    )
    return f'"{escaped}"'
