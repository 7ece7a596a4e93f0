"""Parsing a command line with an option table, and summarising the result."""

from airlock_modules import OptionTable, Parsed, parse
from tool_table import TABLE


def read(line: str, *, table: OptionTable = TABLE) -> Parsed:
    return parse(table, line.split())


def flags_of(parsed: Parsed) -> list[tuple[str, tuple[str, ...]]]:
    return [
        (flag.name, tuple(value.text for value in flag.values))
        for flag in (*parsed.globals, *parsed.flags)
    ]


def words_of(parsed: Parsed) -> list[str]:
    return [word.text for word in parsed.words]
