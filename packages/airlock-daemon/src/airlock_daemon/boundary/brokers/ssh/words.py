"""The words with which the human's ssh is run for an agent, and the goal that they name."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.paths import expand_home
from airlock_daemon.setup.ssh_command import (
    UnfitCommandError,
    find_missing_file,
    read_ssh_command,
)


class SshDestination(msgspec.Struct, frozen=True, kw_only=True):
    """A host and who to be there, as a client said it: `host` has brackets around an IPv6 address.

    `port` of None is ssh's own or the configured one; `family` is 4 or 6 where only addresses of
    that kind will do.
    """

    user: str | None
    host: str
    port: int | None
    family: Literal[4, 6] | None

    @property
    def word(self) -> str:
        """The destination as ssh wants it: without brackets around an address."""
        host = self.host.strip("[]")
        return host if self.user is None else f"{self.user}@{host}"

    @property
    def port_words(self) -> tuple[str, ...]:
        """The options that say the port."""
        return () if self.port is None else ("-p", str(self.port))

    @property
    def family_words(self) -> tuple[str, ...]:
        """The options that say the kind of address."""
        return () if self.family is None else (f"-{self.family}",)


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
)


def profile_words(variables: Mapping[str, str], *, home: str) -> tuple[str, ...]:
    """The ssh of a profile's `[env] set`, "ssh" without one.

    `~/` at the beginning of the program and of a value is `home`, that of the daemon's user. Raises
    Denied where it cannot be used, or where a file that it names cannot be read now.
    """
    words = split_profile_words(variables)
    problem = find_missing_file(words, home)
    if problem is not None:
        raise _refuse(problem, "put the file there, or name another")
    return tuple(expand_home(word, home) for word in words)


def split_profile_words(variables: Mapping[str, str]) -> tuple[str, ...]:
    """The same as it is written, whether its files are there or not. Raises Denied."""
    try:
        return read_ssh_command(variables.get("GIT_SSH_COMMAND", "ssh"))
    except UnfitCommandError as error:
        raise _refuse(str(error), 'write it like "ssh -i ~/.ssh/key"') from error


def _refuse(problem: str, remedy: str) -> Denied:
    return Denied(
        f"this agent's GIT_SSH_COMMAND cannot be used for git-remote: {problem}",
        layer="broker",
        rule="GIT_SSH_COMMAND",
        hint=f"a person on the host can {remedy}, in [env] set of its airlock.toml{AND_RELOAD}",
    )


def build_words(
    words: Sequence[str],
    goal: SshDestination,
    command: Sequence[str],
    *,
    options: Sequence[str] = (),
    pinned: Sequence[str] = (),
    log_level: str = "INFO",
) -> tuple[str, ...]:
    """The argument vector: `words` of the operator, and `pinned` options that say the address.

    `options` and `command` are the broker's own, or words of the client that it has read.
    """
    return (
        words[0],
        *FORCED,
        f"-oLogLevel={log_level}",
        *pinned,
        *options,
        *goal.family_words,
        *goal.port_words,
        *words[1:],
        "--",
        goal.word,
        *command,
    )
