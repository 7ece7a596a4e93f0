"""A profile's GIT_SSH_COMMAND, split into words: ssh's key and route."""

import os
import re
import shlex
from itertools import pairwise
from typing import Self

import msgspec

from airlock_daemon.path_text import expand_home

# The allowed options of GIT_SSH_COMMAND: keys, configuration, user and route.
_VALUED = ("-i", "-F", "-l", "-p", "-J", "-o")
_PLAIN = ("-4", "-6", "-a", "-x", "-q", "-C")
_OPTIONS = re.compile(
    r"(?:IdentitiesOnly|IdentityAgent|IdentityFile|CertificateFile|UserKnownHostsFile|"
    r"ConnectTimeout|ServerAliveInterval|Port|User|HostKeyAlias|Ciphers|KexAlgorithms|"
    r"HostKeyAlgorithms|PubkeyAcceptedAlgorithms)[= ].*",
    re.IGNORECASE | re.DOTALL,
)
_MEANS_SOMETHING_TO_A_SHELL = re.compile(r"[$`;&|<>(){}*?\[\]!#\n]")

# Options whose value is a file with a key or a certificate.
_KEY = re.compile(r"(?:identityfile|certificatefile)[= ](.*)", re.IGNORECASE | re.DOTALL)
_NONE = "none"

_USER = re.compile("user[= ](.*)", re.IGNORECASE | re.DOTALL)


class SshCommand(msgspec.Struct, frozen=True):
    """A GIT_SSH_COMMAND: the program and its options, without `~/` expanded."""

    words: tuple[str, ...]

    @classmethod
    def read(cls, text: str) -> Self:
        """Split a GIT_SSH_COMMAND without a shell.

        Raises ValueError, which says why the broker cannot use it.
        """
        if _MEANS_SOMETHING_TO_A_SHELL.search(text):
            raise ValueError("it has characters that only a shell understands")
        try:
            program, *words = shlex.split(text)
        except ValueError as error:
            raise ValueError("it cannot be split into words") from error
        taken = [program]
        while words:
            word = words.pop(0)
            if word in _PLAIN:
                taken.append(word)
                continue
            option, value = word[:2], word[2:]
            if option not in _VALUED or not (value or words):
                raise ValueError(f"{word} is none of the options that it may have")
            value = value or words.pop(0)
            if option == "-o" and not _OPTIONS.fullmatch(value):
                raise ValueError(f"-o {value} is none of the options that it may have")
            taken += [option, value]
        return cls(tuple(taken))

    @property
    def user(self) -> str | None:
        """The user that overrides a destination's, None if there is none."""
        for option, value in pairwise(self.words):
            named = _USER.fullmatch(value) if option == "-o" else None
            if option == "-l" or named is not None:
                return value if named is None else named[1].strip()
        return None

    def find_missing_file(self, home: str) -> str | None:
        """Return the first file that ssh cannot read, and why.

        None if all are readable. ssh skips a key that it cannot read and tries others, possibly the
        human's own. `home` is the daemon's user's.
        """
        for option, value in pairwise(self.words):
            named = _KEY.fullmatch(value) if option == "-o" else None
            if option in ("-i", "-F") or named is not None:
                text = value if named is None else named[1].strip().strip('"')
                problem = None if text.lower() == _NONE else _judge_file(text, option, home)
                if problem is not None:
                    return f"{option} {value}: {problem}"
        return None


def _judge_file(text: str, option: str, home: str) -> str | None:
    """Why ssh could not read the file `text` of `option`, None if it can."""
    path = expand_home(text, home)
    if "%" in path.replace("%%", ""):
        return "the path has a % that ssh replaces, so that it cannot be looked for"
    path = path.replace("%%", "%") if option != "-F" else path
    if not os.path.isabs(path):
        return "the path does not begin with / or ~/"
    # A public key's private half may be in ssh-agent.
    candidates = (path,) if option == "-F" else (path, f"{path}.pub")
    found = [each for each in candidates if os.path.exists(each)]
    if not found:
        return "there is no such file"
    if not any(os.access(each, os.R_OK) and not os.path.isdir(each) for each in found):
        return "the user of the daemon cannot read that file"
    return None
