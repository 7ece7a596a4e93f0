"""What git's own rules and the grant's lines say of a conversation, and its refusals."""

from collections.abc import Sequence

from msgspec.structs import replace

from airlock_daemon.brokers.ssh.words import split_profile_words
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.generation import Generation
from airlock_daemon.setup.human_git import find_user
from airlock_modules import (
    Grant,
    Place,
    RemoteError,
    RemoteRequest,
    evaluate,
    find_place,
    read_ssh_words,
    read_url_words,
)
from airlock_modules.remotes.ssh_words import Service
from airlock_wire import quote


def verb_of(asked: RemoteRequest) -> str:
    """The word of git, and of the profile, for what is done."""
    return "push" if asked.is_push else "fetch"


def url_of(asked: RemoteRequest) -> str:
    """The destination as a URL, for rules that look at one."""
    return f"{asked.destination.scheme}://{asked.destination}"


def read_remote(
    args: Sequence[str], generation: Generation, *, service: Service = "git-upload-pack"
) -> RemoteRequest:
    """What `args` of git-remote ask for; `service` is for a URL, which does not say it.

    Raises Denied (layer "broker").
    """
    transport, *words = args or ("",)
    admit_protocol(transport, generation)
    try:
        if transport == "ssh":
            return read_asked(words, generation)
        if transport in ("https", "http"):
            return RemoteRequest(destination=read_url_words(transport, words), service=service)
    except RemoteError as error:
        raise refuse_words(error) from error
    raise Denied(
        f"git-remote does not speak {quote(transport, limit=40)}: it speaks ssh and https",
        layer="broker",
        rule="transport",
        hint="use a remote like git@HOST:PATH or https://HOST/PATH",
    )


def admit_protocol(name: str, generation: Generation) -> None:
    """Raise Denied for a protocol that the profile does not grant."""
    protocols = generation.agent.profile.git_protocols
    if protocols is not None and name not in protocols:
        raise Denied(
            f"{quote(name, limit=40)} is none of the protocols of this agent",
            layer="broker",
            rule="protocol",
            hint="a person on the host can add it to [git] protocols of "
            f"{generation.agent.profile_file}{AND_RELOAD}",
        )


def read_asked(words: Sequence[str], generation: Generation) -> RemoteRequest:
    """What git's words for its ssh ask for, as the user that the profile's ssh comes as.

    Raises RemoteError, and Denied for a profile whose ssh cannot be used.
    """
    asked = read_ssh_words(words)
    user = find_user(split_profile_words(generation.agent.profile.env))
    if user is None:
        return asked
    return replace(asked, destination=replace(asked.destination, user=user))


def find_granted(asked: RemoteRequest, generation: Generation) -> Place | None:
    """The line that grants the place; None where the profile names no places at all.

    Raises Denied where it does, and not this one.
    """
    grant = generation.agent.profile.git
    places = grant.push if asked.is_push else (*grant.push, *grant.fetch)
    place = find_place(places, asked.destination)
    if place is None and grant.is_pinned:
        what = f"{verb_of(asked)} {'to' if asked.is_push else 'from'}"
        message = f"this agent may not {what} {quote(asked.destination.line)}"
        raise needs_line(asked, message, "add")
    return place


def judge_as_git(args: tuple[str, ...], generation: Generation) -> None:
    """Ask git's own rules about what is done in effect. Raises Denied.

    Many servers take names that differ in case for one, so that what is refused in small letters is
    refused in any.
    """
    module = generation.git_rules
    grant = Grant(ceiling=("git",), modules={"git": module})
    small = tuple(map(str.lower, args)) if module.rules.mode == "deny" else args
    for each in dict.fromkeys((args, small)):
        decision = evaluate(grant, "git", each)
        if not decision.allowed:
            raise Denied(
                decision.message,
                layer=decision.layer or "module",
                rule=decision.rule,
                hint=decision.hint,
            )


def refuse_words(error: RemoteError) -> Denied:
    """The refusal of what a client said that is not passed on."""
    return Denied(
        f"git-remote is refused: {error.problem}",
        layer="broker",
        rule=error.rule,
        hint="git itself calls it, as its ssh or for a URL; nothing else is passed on",
    )


def needs_line(asked: RemoteRequest, message: str, verb: str) -> Denied:
    """The refusal of a place, with the line of the profile that would grant it."""
    key = verb_of(asked)
    return Denied(
        message,
        layer="broker",
        rule=f"git.{key}",
        hint=f"a person on the host can {verb} it in [git] of its airlock.toml: "
        f'{key} = ["{asked.destination.line}"]{AND_RELOAD}',
    )
