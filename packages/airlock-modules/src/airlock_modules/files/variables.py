"""The environment variables of a client that a tool gets.

An entry of `[env] forward` is a name, or a prefix followed by `*`.
"""

import re
from collections.abc import Iterable, Mapping

_LOCALE = re.compile(r"[A-Za-z0-9_.@:+-]*")
_ZONE = re.compile(r"(?![/:])(?!.*\.\.)[A-Za-z0-9_.,:/<>+-]*")


def select_forwarded(variables: Mapping[str, str], entries: Iterable[str]) -> dict[str, str]:
    """Return the client's variables that match a module's `forward` entries.

    A locale or time zone may be the path of a file, which the C library then loads. A value of
    `LANG`, `LANGUAGE`, `LC_*` or `TZ` that can be such a path is omitted.
    """
    if not variables or not entries:
        return {}
    exact = {entry for entry in entries if not entry.endswith("*")}
    beginnings = tuple(entry[:-1] for entry in entries if entry.endswith("*"))
    return {
        name: value
        for name, value in variables.items()
        if (name in exact or name.startswith(beginnings)) and _is_plain(name, value)
    }


def _is_plain(name: str, value: str) -> bool:
    if name == "TZ":
        return _ZONE.fullmatch(value) is not None
    if name in ("LANG", "LANGUAGE") or name.startswith("LC_"):
        return _LOCALE.fullmatch(value) is not None
    return True
