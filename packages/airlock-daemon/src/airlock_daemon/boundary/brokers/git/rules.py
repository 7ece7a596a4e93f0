"""Admits a conversation with a remote, and judges each ref of a push, by the grant and git's rules.

`over_ssh` adds the ssh part, and `lfs` that of Git LFS.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Literal, Protocol, TypeAlias
from urllib.parse import quote as encode

import msgspec
from msgspec.structs import replace

from airlock_daemon.boundary.audit_text import shorten
from airlock_daemon.boundary.brokers.git.credential import query_helpers, query_settings
from airlock_daemon.boundary.brokers.http import (
    Origin,
    Route,
    Trust,
    find_inner,
    find_proxy,
    resolve,
)
from airlock_daemon.boundary.brokers.requester import BufferedBytes, Requester
from airlock_daemon.boundary.command import CommandLine, Emit, Launcher
from airlock_daemon.boundary.fairness import TurnQueue
from airlock_daemon.errors import AND_RELOAD, Denied, Failed
from airlock_daemon.setup.generation import Generation
from airlock_modules import (
    GIT_REMOTE,
    Destination,
    Grant,
    Place,
    PushList,
    PushReader,
    Refusal,
    RemoteError,
    RemoteRequest,
    Update,
    evaluate,
    find_place,
    judge_push,
    read_url_words,
)
from airlock_modules.operation import Operation
from airlock_modules.remotes.destination import DEFAULT_PORTS, Scheme
from airlock_modules.remotes.git_protocol import Service
from airlock_wire import quote

if TYPE_CHECKING:
    from airlock_daemon.boundary.approval.questions import ApprovalRequest
    from airlock_daemon.boundary.brokers.git.lfs import LfsConversation, LfsRemote
    from airlock_daemon.boundary.brokers.git.patient_push import PatientPush


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
    return push, reader.received


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


async def judge_and_approve(
    push: PushList,
    asked: RemoteRequest,
    requester: Requester,
    emit: Emit,
    *,
    prepare: Callable[[], Awaitable[None]] | None = None,
) -> list[Refusal]:
    """Judge a push, and have it approved; the files may be reloaded meanwhile.

    `emit` gets the line for a client that waits; `prepare` is called before the wait.
    """
    refusals = await judge(push, asked, requester)
    if refusals or not requester.has_approvals:
        return refusals
    from airlock_daemon.boundary.brokers.git.approval import require_push_approval  # noqa: PLC0415

    refusals = await require_push_approval(push, asked, requester, emit, prepare=prepare)
    return refusals or await judge(push, asked, requester)


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


def refuse_without_report(refusal: Refusal) -> Denied:
    """The refusal of a push whose client did not negotiate a report."""
    named = "" if refusal.ref is None else f"{quote(refusal.ref, limit=80)}: "
    return Denied(
        f"the push is refused: {named}{refusal.problem}",
        layer="broker",
        rule=refusal.rule,
        hint="this git has not asked its remote to say more",
    )


# The record names at most this many refs and counts the rest.
NAMED = 8

# Characters shown of a ref, and of an id.
_REF = 160
_ID = 7


Decision: TypeAlias = Literal["allowed", "denied", "failed", "aborted"]


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """The outcome of a conversation.

    For a push, `count` is the number of refs that the client named (None if it sent no list),
    `first` holds the first of them, and `sent` counts bytes sent to the remote. For a fetch,
    `received` counts bytes from the remote, None if they bypassed the daemon.
    """

    decision: Decision
    count: int | None = None
    first: tuple[Update, ...] = ()
    refusal: Refusal | None = None
    sent: int = 0
    received: int | None = None

    def report(self, asked: RemoteRequest, write: "Report", *, is_pinned: bool) -> None:
        """Write the `broker` record; `is_pinned`: the profile names the repository."""
        first = self.refusal
        write(
            self.decision,
            self.describe(asked, is_pinned=is_pinned),
            rule=None if first is None else first.rule,
            reason=None if first is None else f"{first.ref or 'the push'}: {first.problem}",
        )

    def describe(self, asked: RemoteRequest, *, is_pinned: bool) -> dict[str, object]:
        """Build the `detail` of a `broker` record, less than 3 KiB.

        Always has `operation`, `destination` and `service`; `unpinned` if no line of the profile
        names the repository. A push adds `refs` (each with `ref`, `old` and `new`), `more` (the
        number of unlisted refs) and `bytes` (sent to the remote). A fetch adds `received` (bytes
        from the remote, null if they bypassed the daemon).
        """
        detail: dict[str, object] = {
            "operation": shorten(name_operation(asked, self.first).line),
            "destination": shorten(url_of(asked)),
            "service": asked.service,
        }
        if not is_pinned:
            detail["unpinned"] = True
        if not asked.is_push:
            detail["received"] = self.received
        if self.count is None:
            return detail
        detail["refs"] = [
            {"ref": shorten(each.ref, limit=_REF), "old": each.old, "new": each.new}
            for each in self.first
        ]
        if self.count > len(self.first):
            detail["more"] = self.count - len(self.first)
        detail["bytes"] = self.sent
        return detail


class Report(Protocol):
    """Writes the record of a conversation, or of an object in it."""

    def __call__(
        self,
        outcome: Decision,
        detail: object,
        /,
        *,
        rule: str | None,
        reason: str | None,
    ) -> None:
        """Write it; `detail` is under half a line, `rule` the broker's that refused."""


def listed(push: PushList) -> Outcome:
    """The outcome of a push that was read and not yet judged."""
    return Outcome(decision="denied", count=len(push.updates), first=push.updates[:NAMED])


def judged(outcome: Outcome, refusals: Sequence[Refusal]) -> Outcome:
    """The outcome of a push that was judged and not yet sent."""
    if refusals:
        return replace(outcome, refusal=refusals[0])
    return replace(outcome, decision="allowed")


def name_operation(asked: RemoteRequest, updates: Iterable[Update] = ()) -> Operation:
    """Name the operation; a push lists each ref with its abbreviated old and new ids."""
    words = ["git", verb_of(asked), str(asked.destination)]
    for each in updates:
        words += [each.ref, f"{each.old[:_ID]}..{each.new[:_ID]}"]
    return Operation(tuple(words))


def describe_fetch(asked: RemoteRequest) -> "ApprovalRequest":
    """A fetch for a person, or a push before its refs are known."""
    from airlock_daemon.boundary.brokers.git.approval import describe  # noqa: PLC0415 - few need it

    return describe(asked)


class SshRemote(msgspec.Struct, frozen=True, kw_only=True):
    """A remote that `program`, run with `argv`, connects to.

    `asked` is the client's request. `is_pinned`: the profile names the repository.
    """

    asked: RemoteRequest
    program: str
    argv: tuple[str, ...]
    is_pinned: bool

    def build_line(self, requester: Requester) -> CommandLine:
        """The command that connects to it for a requester."""
        return CommandLine(self.program, self.argv, requester.variables, requester.directory)


class UrlRemote(msgspec.Struct, frozen=True, kw_only=True):
    """A remote that the daemon reaches over HTTP; the program `git` supplies the credentials.

    The client names the service later. `barrier` is why the grant must name the host, None if it
    need not. `is_first`: use version 1 of git's protocol for a push.
    """

    destination: Destination
    origin: Origin
    git: str
    barrier: str | None
    is_first: bool


Remote: TypeAlias = "SshRemote | UrlRemote | LfsRemote"

# Characters that a URL path may contain unescaped (RFC 3986, 3.3).
_PLAIN = "/!$&'()*+,;=:@-._~"


async def admit_url(
    asked: RemoteRequest, generation: Generation, requester: Requester
) -> UrlRemote:
    """Admit `asked`, a fetch from a URL: the least that a client can want there.

    Raises Denied (layer "broker"); Failed if git or the resolver fails.
    """
    destination = asked.destination
    place = find_granted(asked, generation)
    git = generation.programs.demand("git")
    if place is None and not await _is_known(destination, git, requester):
        raise _needs_naming(asked, "is no host for which git has a credential helper by name")
    origin, barrier = await find_origin(
        destination.scheme, destination.host, destination.port, path_of(destination), git, requester
    )
    remote = UrlRemote(
        destination=destination,
        origin=origin,
        git=git,
        barrier=barrier,
        is_first=requester.variables.get("GIT_PROTOCOL") == "version=1",
    )
    _confine(asked, place, remote)
    return remote


async def find_origin(
    scheme: Scheme, host: str, port: int | None, path: str, git: str, requester: Requester
) -> tuple[Origin, str | None]:
    """Find the server of a URL as the human's git reaches it, and why the grant must name its host
    (None if it need not).

    `host` has brackets around an IPv6 address, `port` None means the scheme's default, `path` is
    percent-encoded. Raises Failed if git or the resolver fails.
    """
    address = f"{scheme}://{host}{'' if port is None else f':{port}'}{path}"
    settings = await query_settings(address, git, requester)
    name = host.strip("[]")
    variables = requester.variables
    way: Route | None
    way = find_proxy(settings.get("proxy"), variables, scheme=scheme, host=name)
    barrier = None
    if way is not None:
        barrier = "is reached through a proxy, which resolves names itself"
    else:
        way = await resolve(name, family=None, limiter=requester.lookups)
        if find_inner(way) is not None:
            barrier = "has an address of this host or of no public network"
    trust = Trust.read(settings, variables) if scheme == "https" else None
    if trust is not None and (trust.file or trust.directory):
        listed = {"GIT_SSL_CAINFO": trust.file or "", "GIT_SSL_CAPATH": trust.directory or ""}
        for fault in requester.generation.find_loose_authorities(listed):
            problem = f"git's certificate authorities are not used: {fault.problem}"
            raise Failed(problem, hint=f"a person on the host can mend it: {fault.remedy}")
    number = DEFAULT_PORTS[scheme] if port is None else port
    return Origin(host=name, port=number, route=way, trust=trust), barrier


def admit_service(remote: UrlRemote, asked: RemoteRequest, generation: Generation) -> bool:
    """Admit the service that the client wants; returns whether the profile names the repository.

    Raises Denied (layer "broker" for the repository, "module" or "profile" by git's rules).
    """
    place = find_granted(asked, generation)
    _confine(asked, place, remote)
    judge_as_git((verb_of(asked), url_of(asked)), generation)
    return place is not None


async def _is_known(destination: Destination, git: str, requester: Requester) -> bool:
    """Whether the human's git has a credential helper for this host by name; never for http."""
    if destination.scheme != "https":
        return False
    return bool((await query_helpers(destination, git, requester)).named)


def path_of(destination: Destination) -> str:
    """The destination's path, percent-encoded for a request."""
    return encode_path(destination.path)


def encode_path(path: str) -> str:
    """Percent-encode the path of a destination for a request."""
    return encode(path, safe=_PLAIN)


def address_of(destination: Destination) -> str:
    """The destination's URL, as git's configuration and messages have it."""
    port = "" if destination.port is None else f":{destination.port}"
    return f"{destination.scheme}://{destination.host}{port}{path_of(destination)}"


def _confine(asked: RemoteRequest, place: Place | None, remote: UrlRemote) -> None:
    if remote.barrier is not None and not (place is not None and place.is_literal):
        raise _needs_naming(asked, remote.barrier)


def _needs_naming(asked: RemoteRequest, why: str) -> Denied:
    host = quote(asked.destination.host)
    return needs_line(asked, f"{host} {why}, and is not named in the grant of this agent", "name")


async def admit(args: tuple[str, ...], generation: Generation, requester: Requester) -> Remote:
    """Admit the request in the arguments `args` of git-remote.

    Raises Denied (layer "broker" for arguments and destination, "module" or "profile" by git's
    rules); Failed if the human's programs fail.
    """
    if args[:1] == ("lfs",):
        from airlock_daemon.boundary.brokers.git.lfs import admit_lfs  # noqa: PLC0415

        return await admit_lfs(args[1:], generation, requester)
    asked = read_remote(args, generation)
    if asked.destination.scheme != "ssh":
        return await admit_url(asked, generation, requester)
    from airlock_daemon.boundary.brokers.git.over_ssh import admit_ssh  # noqa: PLC0415

    command = f"{asked.service} '{asked.destination.path}'"
    options = ("-T", *(("-oSendEnv=GIT_PROTOCOL",) if asked.sends_protocol else ()))
    return await admit_ssh(asked, command, options, generation, requester)


def must_wait(remote: SshRemote, requester: Requester) -> bool:
    """Whether a push may wait for a person, so that its connection would be dropped."""
    if not (remote.asked.is_push and requester.has_approvals):
        return False
    return requester.may_require_approval(describe_fetch(remote.asked).forms)


def open_own(
    remote: "SshRemote | LfsRemote", requester: Requester, launcher: Launcher, *, tell: Report
) -> "PatientPush | LfsConversation":
    """Open a conversation that few need: a push over ssh that may wait, or one of Git LFS."""
    if isinstance(remote, SshRemote):
        from airlock_daemon.boundary.brokers.git.patient_push import PatientPush  # noqa: PLC0415

        return PatientPush(remote, requester, launcher, tell=tell)
    from airlock_daemon.boundary.brokers.git.lfs import LfsConversation  # noqa: PLC0415

    return LfsConversation(remote, requester, tell=tell)
