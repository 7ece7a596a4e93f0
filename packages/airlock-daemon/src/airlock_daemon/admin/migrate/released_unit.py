"""Reads the service of an earlier release."""

import os
import re
import shlex

import msgspec

from airlock_daemon.admin.service.manager import compare

# `init` wrote the same few lines in all releases, and could not write options: a person has added
# any (systemd.service(5), systemd.unit(5) for the specifiers).

_OPTIONS = ("--config", "--sockets", "--agents")


class ReleasedUnit(msgspec.Struct, frozen=True, kw_only=True):
    """The daemon's working directory, and its options' absolute paths, or None."""

    directory: str
    config: str | None = None
    sockets: str | None = None
    agents: str | None = None


def read_unit(text: str, *, home: str) -> ReleasedUnit | None:
    """Parse airlock.service; None if it is this release's, or starts no daemon."""
    if compare(text, "") != "foreign":
        return None
    lines = text.replace("\\\n", " ").splitlines()
    words = _split(_last(lines, "ExecStart").lstrip("@-:+!"), home)
    if not words or os.path.basename(words[0]) != "airlock-daemon" or "start" not in words[1:]:
        return None
    directory = os.path.join(home, _expand(_last(lines, "WorkingDirectory").lstrip("-"), home))
    if directory in (os.path.join(home, "~"), os.path.join(home, "")):
        directory = home
    found = {}
    for name in _OPTIONS:
        value = _find_value(words, name)
        if value is not None:
            found[name.removeprefix("--")] = os.path.normpath(os.path.join(directory, value))
    return ReleasedUnit(directory=directory, **found)


def _last(lines: list[str], key: str) -> str:
    """The value of the last line `key=`, which systemd uses; "" if there is none."""
    values = (line.partition("=")[2] for line in lines if line.partition("=")[0].strip() == key)
    return next(reversed([value.strip() for value in values]), "")


def _split(command: str, home: str) -> list[str]:
    try:
        return [_expand(word, home) for word in shlex.split(command)]
    except ValueError:
        return []


def _expand(text: str, home: str) -> str:
    return re.sub(r"%([h%])", lambda match: home if match[1] == "h" else "%", text)


def _find_value(words: list[str], name: str) -> str | None:
    for number, word in enumerate(words):
        if word == name:
            return next(iter(words[number + 1 :]), None)
        if word.startswith(f"{name}="):
            return word.removeprefix(f"{name}=")
    return None
