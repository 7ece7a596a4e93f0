"""Showing a person how the arguments of a request were read."""

from airlock_modules.quoting import quote
from airlock_modules.reading.parsed import ArgumentWord, Flag, Parsed

_MOST_SHOWN = 10
"""How many arguments of somebody else's command line are written out."""


def describe_parsed(parsed: Parsed) -> tuple[str, ...]:
    """Return a line for each thing that was read, in order: what it is, then its text.

    Text of the client is quoted. Arguments are counted from 1.
    """
    lines = []
    if parsed.command:
        known = "" if parsed.knows_command else " (unknown to the option table)"
        lines.append(f"subcommand {quote(' '.join(parsed.command))}{known}")
    found: list[Flag | ArgumentWord] = [*parsed.globals, *parsed.flags, *parsed.words]
    lines += [
        _describe_flag(item) if isinstance(item, Flag) else f"word {_describe_word(item)}"
        for item in sorted(found, key=lambda item: item.place)
    ]
    lines += [f"unknown {_describe_word(word)}" for word in parsed.unknown]
    if parsed.rest:
        shown = " ".join(map(quote, parsed.rest[:_MOST_SHOWN]))
        more = " ..." if len(parsed.rest) > _MOST_SHOWN else ""
        lines.append(f"not for this tool: {shown}{more}")
    for use in parsed.paths:
        by = f" of {use.by}" if use.by else ""
        base = f" below {quote(use.base)}" if use.base and not use.text.startswith("/") else ""
        lines.append(f"path {quote(use.text)}{base}{by} in argument {use.place + 1}")
    return tuple(lines)


def dump_parsed(parsed: Parsed) -> dict[str, object]:
    """Return the reading as data of strings, numbers, booleans, lists and dicts.

    Strings are as the client sent them: bytes that were not UTF-8 are surrogates in them.
    """
    return {
        "subcommand": list(parsed.command),
        "known": parsed.knows_command,
        "flags": [_dump_flag(flag) for flag in (*parsed.globals, *parsed.flags)],
        "words": [{"text": word.text, "argument": word.place + 1} for word in parsed.words],
        "unknown": [{"text": word.text, "argument": word.place + 1} for word in parsed.unknown],
        "rest": list(parsed.rest),
        "paths": [
            {"path": use.text, "below": use.base, "argument": use.place + 1, "by": use.by}
            for use in parsed.paths
        ],
    }


def _describe_flag(flag: Flag) -> str:
    text = f"flag {quote(flag.text)}"
    if len(flag.specs) > 1:
        text += " (may be " + ", ".join(quote(spec.name) for spec in flag.specs) + ")"
    elif flag.name != flag.text:
        text += f" (is {flag.name})"
    if flag.values:
        separator = " or " if flag.values[0].startswith("=") else " "
        text += ", perhaps with " if not flag.sure else " with "
        text += separator.join(map(quote, flag.values))
    return f"{text} in argument {flag.place + 1}"


def _describe_word(word: ArgumentWord) -> str:
    return f"{quote(word.text)} in argument {word.place + 1}"


def _dump_flag(flag: Flag) -> dict[str, object]:
    return {
        "text": flag.text,
        "argument": flag.place + 1,
        "names": list(flag.names),
        "values": list(flag.values),
        "sure": flag.sure,
        "before_subcommand": not flag.command,
    }
