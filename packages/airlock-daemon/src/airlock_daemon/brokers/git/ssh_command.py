"""The words with which the human's ssh is run for an agent."""

import re
from collections.abc import Mapping, Sequence

from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.ssh_command import UnfitCommandError, read_ssh_command
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
