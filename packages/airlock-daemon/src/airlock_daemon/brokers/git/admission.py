"""Whether a conversation with a remote may be held, and the errand that it is then."""

from functools import partial

from msgspec.structs import replace

from airlock_daemon.brokers.git.errand import Errand, LfsErrand, SshErrand
from airlock_daemon.brokers.git.rules import (
    admit_protocol,
    find_granted,
    judge_as_git,
    needs_line,
    read_asked,
    read_remote,
    refuse_words,
    url_of,
    verb_of,
)
from airlock_daemon.brokers.git.url_admission import admit_service, admit_url
from airlock_daemon.brokers.requester import Requester
from airlock_daemon.brokers.ssh.goal import Goal
from airlock_daemon.brokers.ssh.pinning import Pinning
from airlock_daemon.brokers.ssh.words import build_words, profile_words
from airlock_daemon.setup.generation import Generation
from airlock_modules import RemoteError, RemoteRequest
from airlock_modules.remotes.lfs import read_lfs_words


async def admit(args: tuple[str, ...], generation: Generation, requester: Requester) -> Errand:
    """Admit what `args` of git-remote ask for.

    Raises Denied (layer "broker" for words and destination, "module" or "profile" by git's rules),
    Failed where the human's programs cannot be asked.
    """
    if args[:1] == ("lfs",):
        return await _admit_lfs(args[1:], generation, requester)
    asked = read_remote(args, generation)
    if asked.destination.scheme != "ssh":
        return await admit_url(asked, generation, requester)
    command = f"{asked.service} '{asked.destination.path}'"
    options = ("-T", *(("-oSendEnv=GIT_PROTOCOL",) if asked.sends_protocol else ()))
    return await _admit_ssh(asked, command, options, generation, requester)


async def _admit_ssh(
    asked: RemoteRequest,
    command: str,
    options: tuple[str, ...],
    generation: Generation,
    requester: Requester,
) -> SshErrand:
    """Admit what is `asked`, for which ssh runs `command` at the remote."""
    place = find_granted(asked, generation)
    words = profile_words(generation.agent.profile.env, home=requester.home)
    program = generation.programs.demand(words[0])
    goal = Goal(
        user=asked.destination.user,
        host=asked.destination.host,
        port=asked.destination.port,
        family=asked.family,
    )

    def build(pinned: tuple[str, ...]) -> tuple[str, ...]:
        return build_words(words, goal, (command,), options=options, pinned=pinned)

    pinned: tuple[str, ...] = ()
    if place is None or not place.is_literal:
        refuse = partial(needs_line, asked, verb="name")
        pinning = Pinning(
            goal, build, programs=generation.programs, requester=requester, refuse=refuse
        )
        pinned = await pinning.pin(is_granted=place is not None)
    judge_as_git((verb_of(asked), url_of(asked)), generation)
    return SshErrand(asked=asked, program=program, argv=build(pinned), is_pinned=place is not None)


async def _admit_lfs(
    words: tuple[str, ...], generation: Generation, requester: Requester
) -> LfsErrand:
    """Admit the agent of git-lfs: as the fetch or push that downloads and uploads are a part of."""
    try:
        wanted = read_lfs_words(words)
        transport = wanted.words[0]
        if transport == "ssh":
            wanted = replace(wanted, asked=read_asked(wanted.words[1:], generation))
    except RemoteError as error:
        raise refuse_words(error) from error
    admit_protocol(transport, generation)
    asked = wanted.asked
    api = login = None
    if transport == "ssh":
        command = f"git-lfs-authenticate '{asked.destination.path}' {wanted.operation}"
        login = await _admit_ssh(asked, command, ("-T",), generation, requester)
    else:
        api = await admit_url(read_remote(wanted.words, generation), generation, requester)
        admit_service(api, asked, generation)
    return LfsErrand(
        wanted=wanted,
        api=api,
        login=login,
        git=generation.programs.demand("git"),
        place=find_granted(asked, generation),
    )
