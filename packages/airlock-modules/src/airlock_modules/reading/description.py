"""Parsed arguments as lines for people, and as plain data for JSON."""

from collections.abc import Iterator

from msgspec import to_builtins

from airlock_modules.reading.parsed import Flag, Parsed, Piece, PlainArgument, PlainReading
from airlock_wire.text import quote

_MAX_SHOWN = 10
"""How many arguments of a nested program's command line to show."""


def describe_reading(reading: PlainReading | Parsed) -> tuple[str, ...]:
    """Return one line per parsed item, in order: its kind, then its text.

    Client text is quoted. Arguments are counted from 1.
    """
    if isinstance(reading, Parsed):
        return tuple(_describe_parsed(reading))
    return tuple(
        f"{_describe_argument(argument)} in argument {number}"
        for number, argument in enumerate(reading.arguments, start=1)
    )


def dump_reading(reading: PlainReading | Parsed) -> object:
    """Return the reading as strings, numbers, booleans, lists and dicts.

    Strings are as the client sent them: bytes that were not UTF-8 appear as surrogates.
    """
    if not isinstance(reading, Parsed):
        return [to_builtins(argument) for argument in reading.arguments]
    return {
        "subcommand": list(reading.command),
        "known": reading.knows_command,
        "flags": [_dump_flag(flag) for flag in (*reading.globals, *reading.flags)],
        "words": [_dump_piece(word) for word in reading.words],
        "unknown": [_dump_piece(piece) for piece in reading.unknown],
        "rest": list(reading.rest),
        "paths": [
            {"path": use.text, "below": use.base, "argument": use.argument + 1, "by": use.by}
            for use in reading.paths
        ],
    }


def _describe_parsed(parsed: Parsed) -> Iterator[str]:
    if parsed.command:
        known = "" if parsed.knows_command else " (unknown to the option table)"
        yield f"subcommand {quote(' '.join(parsed.command))}{known}"
    found: list[Flag | Piece] = [*parsed.globals, *parsed.flags, *parsed.words]
    for item in sorted(found, key=lambda item: item.argument):
        yield _describe_flag(item) if isinstance(item, Flag) else f"word {_describe_piece(item)}"
    for piece in parsed.unknown:
        yield f"unknown {_describe_piece(piece)}"
    if parsed.rest:
        shown = " ".join(map(quote, parsed.rest[:_MAX_SHOWN]))
        more = " ..." if len(parsed.rest) > _MAX_SHOWN else ""
        yield f"not for this tool: {shown}{more}"
    for use in parsed.paths:
        by = f" of {use.by}" if use.by else ""
        base = f" below {quote(use.base)}" if use.base and not use.text.startswith("/") else ""
        yield f"path {quote(use.text)}{base}{by} in argument {use.argument + 1}"


def _describe_argument(argument: PlainArgument) -> str:
    if argument.flag is None:
        kind = "word, or value of the flag before," if argument.role == "maybe-value" else "word"
        return f"{kind} {quote(argument.raw)}"
    value = "" if argument.value is None else f" with {quote(argument.value)}"
    return f"flag {quote(argument.flag)}{value}"


def _describe_flag(flag: Flag) -> str:
    text = f"flag {quote(flag.text)}"
    if len(flag.specs) > 1:
        text += " (may be " + ", ".join(quote(spec.name) for spec in flag.specs) + ")"
    elif flag.name != flag.text:
        text += f" (is {flag.name})"
    if flag.values:
        separator = " or " if flag.values[0].text.startswith("=") else " "
        text += ", perhaps with " if not flag.sure else " with "
        text += separator.join(quote(value.text) for value in flag.values)
    return f"{text} in argument {flag.argument + 1}"


def _describe_piece(piece: Piece) -> str:
    return f"{quote(piece.text)} in argument {piece.argument + 1}"


def _dump_piece(piece: Piece) -> dict[str, object]:
    return {"text": piece.text, "argument": piece.argument + 1}


def _dump_flag(flag: Flag) -> dict[str, object]:
    return {
        "text": flag.text,
        "argument": flag.argument + 1,
        "names": list(flag.names),
        "values": [value.text for value in flag.values],
        "sure": flag.sure,
        "before_subcommand": not flag.command,
    }
