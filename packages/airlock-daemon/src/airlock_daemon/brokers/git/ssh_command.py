"""The words with which the human's ssh is run for an agent."""

import os
import re
import shlex
from collections.abc import Mapping, Sequence

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_modules import RemoteRequest

# The first value of an option counts, so these win over the human's own configuration and over the
# words of a profile.
FORCED = (
    "-oBatchMode=yes",
    "-oStrictHostKeyChecking=yes",
    "-oUpdateHostKeys=no",
    "-oEscapeChar=none",
    "-oPermitLocalCommand=no",
    "-oRemoteCommand=none",
    "-oForwardAgent=no",
    "-oForwardX11=no",
    "-oClearAllForwardings=yes",
    "-oTunnel=no",
    "-oControlMaster=no",
    "-oControlPath=none",
    "-oAddKeysToAgent=no",
    "-oGSSAPIDelegateCredentials=no",
    "-oLogLevel=INFO",
    "-T",
)

PROTOCOL = re.compile(r"version=[0-9]")

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


class UnfitCommandError(ValueError):
    """A GIT_SSH_COMMAND of which the broker cannot make words. The text says why."""


def read_ssh_command(text: str) -> tuple[str, ...]:
    """Split a GIT_SSH_COMMAND into the program and its options, without a shell.

    `~/` at the beginning of a value is the home of the daemon's user. Raises UnfitCommandError.
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
        taken += [option, os.path.expanduser(value) if value.startswith("~/") else value]
    return tuple(taken)


def profile_words(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The ssh of a profile's `[env] set`, "ssh" without one. Raises Denied."""
    text = variables.get("GIT_SSH_COMMAND")
    if text is None:
        return ("ssh",)
    try:
        return read_ssh_command(text)
    except UnfitCommandError as error:
        raise Denied(
            f"this agent's GIT_SSH_COMMAND cannot be used for git-remote: {error}",
            layer="broker",
            rule="GIT_SSH_COMMAND",
            hint='a person on the host can write it like "ssh -i ~/.ssh/key" in [env] set of its '
            f"airlock.toml{AND_RELOAD}",
        ) from error


def build_words(
    words: Sequence[str],
    asked: RemoteRequest,
    *,
    pinned: Sequence[str] = (),
) -> tuple[str, ...]:
    """The argument vector: `words` of the profile, and `pinned` options that say the address."""
    return (
        words[0],
        *FORCED,
        *pinned,
        *_ask_for(asked),
        *words[1:],
        "--",
        destination_word(asked),
        f"{asked.service} '{asked.destination.path}'",
    )


def _ask_for(asked: RemoteRequest) -> tuple[str, ...]:
    options: tuple[str, ...] = ()
    if asked.sends_protocol:
        options += ("-oSendEnv=GIT_PROTOCOL",)
    if asked.family is not None:
        options += (f"-{asked.family}",)
    if asked.destination.port is not None:
        options += ("-p", str(asked.destination.port))
    return options


def destination_word(asked: RemoteRequest) -> str:
    """The destination as ssh wants it: without brackets around an address."""
    host = asked.destination.host.strip("[]")
    user = asked.destination.user
    return host if user is None else f"{user}@{host}"
