"""Patterns for the host of a grant's line."""

import re

from airlock_modules.remotes.destination import read_host
from airlock_modules.remotes.patterns import compile_pattern


def compile_host(text: str) -> "re.Pattern[str]":
    """The regular expression, for `fullmatch`, of a host's name or address, or of one with stars.

    Raises RemoteError for what cannot name a host.
    """
    if "*" not in text:
        return compile_pattern(read_host(text))
    read_host(text.replace("*", "x"))
    return compile_pattern(text.lower())
