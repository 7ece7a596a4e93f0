"""Judges a conversation and each ref of a push, by the grant and by git's rules."""

from collections.abc import Awaitable, Callable, Iterator, Sequence

from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.boundary.fairness.gate import Gate
from airlock_daemon.boundary.fairness.turns import TurnQueue
from airlock_daemon.errors import AND_RELOAD, Denied
from airlock_daemon.setup.generation import Generation
from airlock_modules import (
    GIT_REMOTE,
    Grant,
    Place,
    PushList,
    PushReader,
    Refusal,
    RemoteError,
    RemoteRequest,
    evaluate,
    find_place,
    judge_push,
    read_url_words,
)
from airlock_modules.remotes.git_protocol import Service
from airlock_wire import quote


def verb_of(asked: RemoteRequest) -> str:
    """The verb in git and the profile: push or fetch."""
    return "push" if asked.is_push else "fetch"


def url_of(asked: RemoteRequest) -> str:
    """The destination as a URL, for rules that match URLs."""
    return f"{asked.destination.scheme}://{asked.destination}"


def read_remote(
    args: Sequence[str], generation: Generation, *, service: Service = "git-upload-pack"
) -> RemoteRequest:
    """Read the arguments of git-remote; `service` applies to a URL, which does not name one.

    Raises Denied (layer "broker").
    """
    transport, *words = args or ("",)
    admit_protocol(transport, generation)
    try:
        if transport == "ssh":
            from airlock_daemon.boundary.brokers.git.over_ssh import read_asked  # noqa: PLC0415

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
    """Raise Denied if the profile does not grant the protocol."""
    protocols = generation.agent.profile.git_protocols
    if protocols is not None and name not in protocols:
        raise Denied(
            f"{quote(name, limit=40)} is none of the protocols of this agent",
            layer="broker",
            rule="protocol",
            hint="a person on the host can add it to [git] protocols of "
            f"{generation.agent.profile_file}{AND_RELOAD}",
        )


def find_granted(asked: RemoteRequest, generation: Generation) -> Place | None:
    """Find the line that grants the destination; None if the profile names no repositories at all.

    Raises Denied if it names some, but not this one.
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
    """Judge the equivalent git command by the rules for git. Raises Denied.

    Many servers ignore the case of names, so a deny rule that matches the lower-case form refuses
    every spelling.
    """
    module = generation.git_rules
    if module is None:
        return
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
    """The refusal of malformed input from the client."""
    return Denied(
        f"git-remote is refused: {error.problem}",
        layer="broker",
        rule=error.rule,
        hint="git itself calls it, as its ssh or for a URL; nothing else is passed on",
    )


def needs_line(asked: RemoteRequest, message: str, verb: str) -> Denied:
    """The refusal of a destination, with the line of the profile that would grant it."""
    key = verb_of(asked)
    return Denied(
        message,
        layer="broker",
        rule=f"git.{key}",
        hint=f"a person on the host can {verb} it in [git] of its airlock.toml: "
        f'{key} = ["{asked.destination.line}"]{AND_RELOAD}',
    )


# A parsed list of refs takes less memory than this times its bytes.
GROWTH = 8
# Refs judged in one step.
PART = 50


class BufferedBytes:
    """Counts the bytes buffered for a client; its owner must `release` it."""

    def __init__(self, gate: Gate) -> None:
        """`gate` is the agent's, which limits the total of all its buffers."""
        self._gate = gate
        self._count = 0

    def add(self, count: int) -> None:
        """Reserve `count` more bytes. Raises RemoteError if the agent exceeds its limit."""
        if not self._gate.reserve(count):
            raise RemoteError("too much of this agent's requests is under way", rule="size")
        self._count += count

    def release(self) -> None:
        """Release all reserved bytes."""
        self._gate.release(self._count)
        self._count = 0


async def read_list(
    read: Callable[[], Awaitable[bytes]], held: BufferedBytes
) -> tuple[PushList | None, bytes]:
    """Read the list of refs; returns it, or None if the client sends none, and all bytes read.

    `read` returns the client's next bytes, b"" at EOF. Raises RemoteError for a malformed list.
    """
    reader = PushReader()
    push: PushList | None = None
    while push is None and (data := await read()):
        # The parsed list takes several times the bytes read.
        held.add(GROWTH * len(data))
        push = reader.feed(data)
    return push, reader.held


async def judge(push: PushList, asked: RemoteRequest, requester: Requester) -> list[Refusal]:
    """Return what the grant and git's own rules refuse of a push.

    A client may delay its list, so the grants at its start and now must both allow the push.
    """
    refusals = await _judge(push, asked, requester.generation, requester.turns)
    current = requester.current
    if not refusals and current is not requester.generation:
        refusals = _judge_place(asked, current)
        refusals += await _judge(push, asked, current, requester.turns)
    return refusals


def _judge_place(asked: RemoteRequest, generation: Generation) -> list[Refusal]:
    decision = evaluate(generation.grant, GIT_REMOTE, ())
    if not decision.allowed:
        return [Refusal(ref=None, rule=decision.rule or "command", problem=decision.message)]
    try:
        find_granted(asked, generation)
    except Denied as error:
        return [Refusal(ref=None, rule=error.rule or "place", problem=error.message)]
    return []


async def _judge(
    push: PushList, asked: RemoteRequest, generation: Generation, turns: TurnQueue
) -> list[Refusal]:
    refusals: list[Refusal] = []
    for found in judge_by(generation, push, asked):
        refusals += found
        await turns.take()
    return refusals


def judge_by(
    generation: Generation, push: PushList, asked: RemoteRequest
) -> Iterator[Sequence[Refusal]]:
    """Yield what one generation's grant and git rules refuse of a push, in short steps."""
    is_refused = False
    for part in push.split(PART):
        refusals = judge_push(generation.agent.profile.git, part)
        is_refused = is_refused or bool(refusals)
        yield refusals
    for update in () if is_refused else push.updates:
        flags = ("--delete",) if update.is_deletion else ()
        try:
            judge_as_git(("push", *flags, url_of(asked), update.ref), generation)
        except Denied as error:
            yield (Refusal(ref=update.ref, rule=error.rule or "rules", problem=error.message),)
        else:
            yield ()


def cannot_tell(refusal: Refusal) -> Denied:
    """The refusal of a push whose client did not negotiate a report."""
    named = "" if refusal.ref is None else f"{quote(refusal.ref, limit=80)}: "
    return Denied(
        f"the push is refused: {named}{refusal.problem}",
        layer="broker",
        rule=refusal.rule,
        hint="this git has not asked its remote to say more",
    )
