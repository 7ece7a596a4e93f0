"""What a systemd unit that an earlier release wrote, or a person edited since, says of the daemon.

`init` wrote the same few lines in all releases, and could not write options: where there are some,
a person has added them (systemd.service(5), systemd.unit(5) for the specifiers).
"""

import os
import re
import shlex

import msgspec

from airlock_daemon.service.sealed import compare

_OPTIONS = ("--config", "--sockets", "--agents")
_OWN = re.compile(
    r"^\s*(Environment|EnvironmentFile|PassEnvironment|Exec\w+|UMask|Limit\w+)\s*=(.*)"
)
_CARRIED = ("PATH", "SSH_AUTH_SOCK")


class ReleasedUnit(msgspec.Struct, frozen=True, kw_only=True):
    """The directory that its daemon starts in, and the paths of its options, absolute, or None.

    `own` are lines that a person may have added and that no unit of this release has, as far as
    the `=`; of variables their names.
    """

    directory: str
    config: str | None = None
    sockets: str | None = None
    agents: str | None = None
    own: tuple[str, ...] = ()


def read_unit(text: str, *, home: str) -> ReleasedUnit | None:
    """Read the text of airlock.service; None for one of this release, and for what is no daemon."""
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
    return ReleasedUnit(directory=directory, own=tuple(_list_own(lines)), **found)


def _last(lines: list[str], key: str) -> str:
    """The value of the last line `key=`, which counts; "" where there is none."""
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


def _list_own(lines: list[str]) -> list[str]:
    own = []
    for line in lines:
        match = _OWN.match(line)
        if match is None or match[1] in ("ExecStart", "ExecReload"):
            continue
        if match[1] != "Environment":
            own.append(f"{match[1]}=")
            continue
        try:
            names = [word.partition("=")[0] for word in shlex.split(match[2])]
        except ValueError:
            names = ["?"]
        own += [f"Environment={name}=" for name in names if name not in _CARRIED]
    return list(dict.fromkeys(own))
