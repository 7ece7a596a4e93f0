"""Reads and admits requests to a remote over ssh."""

from collections.abc import Mapping, Sequence
from functools import partial

from msgspec.structs import replace

from airlock_daemon.boundary.brokers.git.rules import (
    SshRemote,
    find_granted,
    judge_as_git,
    needs_line,
    url_of,
    verb_of,
)
from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.boundary.brokers.ssh.destination import SshDestination
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.path_text import expand_home
from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.ssh_command import SshCommand
from airlock_modules import RemoteRequest, read_ssh_words


def read_asked(words: Sequence[str], generation: Generation) -> RemoteRequest:
    """Read the arguments that git passes to its ssh; the profile's ssh may set the user.

    Raises RemoteError; Denied if the profile's ssh cannot be used.
    """
    asked = read_ssh_words(words)
    user = read_profile_command(generation.agent.profile.env).user
    if user is None:
        return asked
    return replace(asked, destination=replace(asked.destination, user=user))


async def admit_ssh(
    asked: RemoteRequest,
    command: str,
    options: tuple[str, ...],
    generation: Generation,
    requester: Requester,
) -> SshRemote:
    """Admit `asked`, for which ssh runs `command` at the remote.

    Raises Denied (layer "broker" for the repository, "module" or "profile" by git's rules); Failed
    if the human's ssh fails.
    """
    place = find_granted(asked, generation)
    words = profile_words(generation.agent.profile.env, home=requester.home)
    program = generation.programs.demand(words[0])
    goal = SshDestination(
        user=asked.destination.user,
        host=asked.destination.host,
        port=asked.destination.port,
        family=asked.family,
    )

    argv = await goal.choose_argv(
        words,
        (command,),
        options=options,
        requester=requester,
        refuse=partial(needs_line, asked, verb="name"),
        is_named=place is not None and place.is_literal,
        is_granted=place is not None,
    )
    judge_as_git((verb_of(asked), url_of(asked)), generation)
    return SshRemote(asked=asked, program=program, argv=argv, is_pinned=place is not None)


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
