"""The hosts that a person has names for, as lines of `[ssh] hosts`."""

import os
from collections.abc import Iterable, Iterator

from airlock_modules import RemoteError, read_host_line

CONFIG = "~/.ssh/config"
# So many are proposed.
MOST = 12


def find_hosts(path: str = CONFIG) -> tuple[str, ...]:
    """The aliases of ssh's configuration, without patterns; none where it cannot be read.

    What the file includes is not looked at.
    """
    try:
        with open(os.path.expanduser(path), encoding="utf-8", errors="replace") as file:
            names = tuple(dict.fromkeys(_list_names(file)))
    except OSError:
        return ()
    return names[:MOST]


def _list_names(lines: Iterable[str]) -> Iterator[str]:
    for line in lines:
        key, *words = line.replace("=", " ", 1).split()[:100] or [""]
        if key.lower() != "host":
            continue
        for word in words:
            if word.startswith("#"):
                break
            try:
                if read_host_line(word).name is not None:
                    yield word
            except RemoteError:
                # A pattern with ? or !, or a word in quotes.
                continue
