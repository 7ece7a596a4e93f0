"""Reads and admits requests to a remote over ssh."""

from collections.abc import Sequence
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
from airlock_daemon.boundary.brokers.ssh.known_hosts import Pinning
from airlock_daemon.boundary.brokers.ssh.words import (
    SshDestination,
    build_words,
    profile_words,
    read_profile_command,
)
from airlock_daemon.setup.generation import Generation
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

    def build(pinned: tuple[str, ...]) -> tuple[str, ...]:
        return build_words(words, goal, (command,), options=options, pinned=pinned)

    refuse = partial(needs_line, asked, verb="name")
    argv = await Pinning(goal, build, requester=requester, refuse=refuse).choose_argv(
        is_named=place is not None and place.is_literal, is_granted=place is not None
    )
    judge_as_git((verb_of(asked), url_of(asked)), generation)
    return SshRemote(asked=asked, program=program, argv=argv, is_pinned=place is not None)
