"""The rule semantics once more, for the reference daemon: as short as they can be said."""

import re
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Argument:
    """One word: as written, the flag and value in it, and whether it is a positional."""

    raw: str
    flag: str | None = None
    value: str | None = None
    positional: bool = False


def read_arguments(words: Sequence[str]) -> list[Argument]:
    """Return the reading of an argument vector, without the command's name."""
    read: list[Argument] = []
    flags_ended = False
    for word in words:
        if flags_ended or word == "--":
            flags_ended = True
            read.append(Argument(raw=word, positional=True))
        elif word.startswith("--"):
            flag, equals, value = word.partition("=")
            read.append(Argument(raw=word, flag=flag, value=value if equals else None))
        elif word.startswith("-") and word != "-":
            read.append(Argument(raw=word, flag=word[:2], value=word[2:] or None))
        else:
            before = read[-1] if read else None
            maybe_value = before is not None and before.flag is not None and before.value is None
            read.append(Argument(raw=word, positional=not maybe_value))
    return read


def matches(rule: str, arguments: Sequence[Argument]) -> bool:
    """Whether a rule matches the arguments."""
    if " & " in rule:
        return all(_matches_part(part, arguments) for part in rule.split(" & "))
    return _matches_part(rule, arguments)


def _matches_part(part: str, arguments: Sequence[Argument]) -> bool:
    if not part.startswith("-"):
        return any(item.raw == part and item.positional for item in arguments)
    flag, equals, pattern = part.partition("=")
    if not equals:
        return any(part in (item.raw, item.flag) for item in arguments)
    is_plain = not set(pattern) & set("*?[{")
    if is_plain and any(item.raw == part for item in arguments):
        return True
    glob = re.compile(_translate(pattern), re.DOTALL)
    following = [*arguments[1:], None] if arguments else []
    for item, after in zip(arguments, following, strict=True):
        if item.flag != flag:
            continue
        value = item.value
        if value is None and after is not None and after.raw != "--":
            value = after.raw
        if value is not None and glob.fullmatch(value):
            return True
    return False


def _translate(pattern: str) -> str:
    """Return a glob as a regular expression; braces do not nest here."""
    tokens = re.findall(r"\*|\?|\[[!^]?\]?[^\]]*\]|\{[^}]*\}|.", pattern, re.DOTALL)
    return "".join(_translate_token(token) for token in tokens)


def _translate_token(token: str) -> str:
    if token == "*":
        return ".*"
    if token == "?":
        return "."
    if token.startswith("[") and len(token) > 1:
        return "[" + token[1:].replace("!", "^", 1) if token[1] == "!" else token
    if token.startswith("{") and len(token) > 1:
        return "(?:" + "|".join(_translate(choice) for choice in token[1:-1].split(",")) + ")"
    return re.escape(token)
