"""What a person is told about a command that has no module: the nearest name."""

import difflib
from collections.abc import Iterable

from airlock_modules import builtin_names


def say_nearest(name: str, known: Iterable[str] = ()) -> str:
    """What is put before other advice about `name`: a built-in or `known` name like it, else ""."""
    nearest = difflib.get_close_matches(name, {*builtin_names(), *known}, n=1)
    return f'write "{nearest[0]}", or ' if nearest else ""
