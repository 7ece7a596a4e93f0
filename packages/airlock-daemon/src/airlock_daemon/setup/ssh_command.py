"""A GIT_SSH_COMMAND of a profile, as words: which key and which way the human's ssh takes."""

import re
import shlex
from collections.abc import Sequence
from itertools import pairwise

# What of GIT_SSH_COMMAND is taken: where a key or a configuration is, and as whom to come.
_VALUED = ("-i", "-F", "-l", "-p", "-J", "-o")
_PLAIN = ("-4", "-6", "-a", "-x", "-q", "-C")
_OPTIONS = re.compile(
    r"(?:IdentitiesOnly|IdentityAgent|IdentityFile|CertificateFile|UserKnownHostsFile|"
    r"ConnectTimeout|ServerAliveInterval|Port|User|HostKeyAlias|Ciphers|KexAlgorithms|"
    r"HostKeyAlgorithms|PubkeyAcceptedAlgorithms)[= ].*",
    re.IGNORECASE | re.DOTALL,
)
_MEANS_SOMETHING_TO_A_SHELL = re.compile(r"[$`;&|<>(){}*?\[\]!#\n]")

_USER = re.compile("user[= ](.*)", re.IGNORECASE | re.DOTALL)


class UnfitCommandError(ValueError):
    """A GIT_SSH_COMMAND of which the broker cannot make words. The text says why."""


def read_ssh_command(text: str) -> tuple[str, ...]:
    """Split a GIT_SSH_COMMAND into the program and its options, without a shell.

    A `~/` stays as it is. Raises UnfitCommandError.
    """
    if _MEANS_SOMETHING_TO_A_SHELL.search(text):
        raise UnfitCommandError("it has characters that only a shell understands")
    try:
        program, *words = shlex.split(text)
    except ValueError as error:
        raise UnfitCommandError("it cannot be split into words") from error
    taken = [program]
    while words:
        word = words.pop(0)
        if word in _PLAIN:
            taken.append(word)
            continue
        option, value = word[:2], word[2:]
        if option not in _VALUED or not (value or words):
            raise UnfitCommandError(f"{word} is none of the options that it may have")
        value = value or words.pop(0)
        if option == "-o" and not _OPTIONS.fullmatch(value):
            raise UnfitCommandError(f"-o {value} is none of the options that it may have")
        taken += [option, value]
    return tuple(taken)


def find_user(words: Sequence[str]) -> str | None:
    """The user in what `read_ssh_command` gave, whom ssh takes before that of a destination.

    None where there is none.
    """
    for option, value in pairwise(words):
        named = _USER.fullmatch(value) if option == "-o" else None
        if option == "-l" or named is not None:
            return value if named is None else named[1].strip()
    return None
