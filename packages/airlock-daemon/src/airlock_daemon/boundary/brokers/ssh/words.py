"""The argv of the human's ssh for an agent, and its destination."""

from collections.abc import Mapping, Sequence
from typing import Literal

import msgspec

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.path_text import expand_home
from airlock_daemon.setup.ssh_command import SshCommand


class SshDestination(msgspec.Struct, frozen=True, kw_only=True):
    """A destination as the client named it: `host` has brackets around an IPv6 address.

    `port` None is the configured one or ssh's default; `family` 4 or 6 restricts the addresses.
    """

    user: str | None
    host: str
    port: int | None
    family: Literal[4, 6] | None

    @property
    def word(self) -> str:
        """The destination for ssh: without brackets around an address."""
        host = self.host.strip("[]")
        return host if self.user is None else f"{self.user}@{host}"

    @property
    def port_words(self) -> tuple[str, ...]:
        """The options for the port."""
        return () if self.port is None else ("-p", str(self.port))

    @property
    def family_words(self) -> tuple[str, ...]:
        """The options for the address family."""
        return () if self.family is None else (f"-{self.family}",)


# ssh uses an option's first value, so these override the human's configuration and the profile.
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
    """The ssh command of a profile's `[env] set`, "ssh" without one.

    A leading `~/` of the program or a value becomes `home`, that of the daemon's user. Raises
    Denied if the command cannot be used, or names a file that cannot be read now.
    """
    command = read_profile_command(variables)
    problem = command.find_missing_file(home)
    if problem is not None:
        raise _refuse(problem, "put the file there, or name another")
    return tuple(expand_home(word, home) for word in command.words)


def read_profile_command(variables: Mapping[str, str]) -> SshCommand:
    """The command as written, without a check of its files. Raises Denied."""
    try:
        return SshCommand.read(variables.get("GIT_SSH_COMMAND", "ssh"))
    except ValueError as error:
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
    """Build the argv from the operator's `words`, and `pinned` options for the address.

    `options` and `command` are the broker's own, or parsed from the client's arguments.
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
