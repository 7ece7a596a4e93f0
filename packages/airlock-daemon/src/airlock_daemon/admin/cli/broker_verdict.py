"""The brokers' decision on arguments, without the host's ssh and git.

Needs trio, which is only installed on Linux.
"""

from collections.abc import Sequence

from msgspec.structs import replace

from airlock_daemon.admin.cli.verdict import GitCall, Verdict, refuse
from airlock_daemon.boundary.brokers.git.rules import (
    describe_fetch,
    find_granted,
    judge_as_git,
    judge_by,
    name_operation,
    read_remote,
    refuse_words,
    url_of,
    verb_of,
)
from airlock_daemon.boundary.brokers.sign.signing import find_grant, read_named
from airlock_daemon.boundary.brokers.sign.signing import judge_object as judge_unsigned
from airlock_daemon.boundary.brokers.sign.signing import read_words as read_signing
from airlock_daemon.boundary.brokers.ssh.session import describe_session
from airlock_daemon.boundary.brokers.ssh.session import find_granted as find_host
from airlock_daemon.boundary.brokers.ssh.session import name_operation as name_session
from airlock_daemon.boundary.brokers.ssh.session import read_words as read_session
from airlock_daemon.errors import Denied
from airlock_daemon.setup.generation import Generation
from airlock_modules import Place, PushList, Query, RemoteError, RemoteRequest, judge_push
from airlock_modules.operation import Operation
from airlock_modules.remotes.git_protocol import Service
from airlock_modules.remotes.lfs import read_lfs_words
from airlock_modules.remotes.signing import Kind, Role, Unsigned
from airlock_wire import quote


def judge_session(generation: Generation, args: Sequence[str]) -> Verdict:
    """Judge the arguments of ssh, and the host.

    A host that the profile does not list by name is undecided: the daemon resolves it.
    """
    operation = None
    try:
        asked = read_session(tuple(args))
        operation = name_session(asked)
        line = None if isinstance(asked, Query) else find_host(asked, generation)
    except Denied as error:
        return refuse(error, operation)
    if isinstance(asked, Query):
        return Verdict(allowed=True, operation=operation, broker="passed: it leads nowhere")
    described = describe_session(asked)
    forms = () if described is None else described.forms
    pattern = generation.agent.profile.find_approval(forms)
    if line is not None and line.name is not None:
        said = f'passed: [ssh] hosts has "{line.text}"'
        return Verdict(allowed=True, operation=operation, asked=pattern, broker=said)
    login = str(asked.login)
    why = "no hosts are named" if line is None else f'"{line.text}" is a pattern'
    return Verdict(
        allowed=True,
        operation=operation,
        asked=pattern,
        broker=f"undecided: {why}, so that the daemon looks at the address of {login}"
        + (", and for it in known_hosts" if line is None else ""),
        undecided=(login,),
    )


def judge_object(generation: Generation, args: Sequence[str]) -> Verdict:
    """Judge what is to be signed: the words of git-sign, or a kind and addresses.

    The human's own address and key are undecided: the daemon asks the human's git.
    """
    grant = find_grant(generation)
    kind, emails = read_named(args)
    operation = Operation(("sign", "git", *((kind,) if kind else ())))
    is_own = grant.emails is None
    try:
        if kind is None:
            read_signing(tuple(args))
        else:
            named = () if is_own else emails
            people = tuple((_name_role(kind, nth), each) for nth, each in enumerate(named))
            asked = Unsigned(kind=kind, id="", title="", people=people, digest="")
            judge_unsigned(asked, generation, own=None)
    except Denied as error:
        # The daemon's check ends before the commit or tag.
        return replace(refuse(error, operation), is_past_check=kind is not None)
    who = "your own address (user.email)"
    if grant.emails is not None:
        who = ", ".join(quote(each.text) for each in grant.emails) or "nobody"
    kinds: tuple[Kind, ...] = ("commit", "tag")
    what = " and ".join(f"{each}s" for each in kinds if grant.signs(each)) or "nothing"
    is_decided = bool(emails) and not is_own
    granted = f"[sign] grants {what} of {who}"
    if grant.authors and grant.commits:
        granted += f", with authors {', '.join(quote(each.text) for each in grant.authors)}"
    return Verdict(
        allowed=True,
        operation=operation,
        asked=generation.agent.profile.find_approval((operation.words,)),
        broker=f"passed: {granted}" if is_decided else f"undecided: {granted}",
        undecided=("the key",) if is_decided else ("the key", "the addresses"),
    )


def _name_role(kind: Kind, nth: int) -> Role:
    """Whose address stands there among the arguments: a committer's first, then authors'."""
    if kind == "tag":
        return "tagger"
    return "author" if nth else "committer"


def judge_call(generation: Generation, call: GitCall) -> Verdict:
    """Judge a git call's destination, and the refs that it moves there."""
    if call.url is None or not call.words:
        named = "no URL is named" if call.url is None else f"{quote(call.url)} is no URL"
        found = Verdict(
            allowed=True,
            broker=f"undecided: {named}, and only the client's repository knows its remotes",
            undecided=(call.url or "the remote",),
        )
    else:
        found = judge_words(generation, call.words, is_push=call.push is not None)
    if found.operation is not None and call.push is not None:
        # Only the client's git knows the ids of these refs.
        refs = (update.ref for update in call.push.updates)
        found = replace(found, operation=Operation((*found.operation.words, *refs)))
    return _judge_refs(generation, call, found) if found.allowed and call.push else found


def judge_words(generation: Generation, words: Sequence[str], *, is_push: bool = False) -> Verdict:
    """Judge the arguments of git-remote, and the destination.

    A host that the profile does not list by name is undecided: the daemon resolves it. `is_push` is
    for URLs, which do not say it.
    """
    operation = None
    try:
        asked = _read(generation, words, is_push=is_push)
        operation = name_operation(asked)
        place = find_granted(asked, generation)
        judge_as_git((verb_of(asked), url_of(asked)), generation)
    except Denied as error:
        return refuse(error, operation)
    pattern = generation.agent.profile.find_approval(describe_fetch(asked).forms)
    return replace(_describe_place(asked, place), operation=operation, asked=pattern)


def _read(generation: Generation, words: Sequence[str], *, is_push: bool) -> RemoteRequest:
    service: Service = "git-receive-pack" if is_push else "git-upload-pack"
    if words and words[0] == "lfs":
        try:
            wanted = read_lfs_words(words[1:])
        except RemoteError as error:
            raise refuse_words(error) from error
        words, service = wanted.words, wanted.asked.service
    return read_remote(words, generation, service=service)


def _describe_place(asked: RemoteRequest, place: Place | None) -> Verdict:
    where = asked.destination.line
    if place is not None and place.is_literal:
        keys = "push" if asked.is_push else "push or fetch"
        return Verdict(allowed=True, broker=f'passed: [git] {keys} has "{place.text}"')
    if place is not None:
        looks = f'"{place.text}" is a pattern, so that the daemon looks at the address of {where}'
    elif asked.destination.scheme == "ssh":
        looks = f"no places are named, so that the daemon looks for {where} in known_hosts"
    else:
        looks = f"no places are named, so that the daemon asks git who has an account at {where}"
    return Verdict(allowed=True, broker=f"undecided: {looks}", undecided=(where,))


def _judge_refs(generation: Generation, call: GitCall, found: Verdict) -> Verdict:
    """Judge the refs of a push that is `found` allowed so far; [git] does so without a URL too."""
    push = call.push or PushList()
    if call.words:
        asked = _read(generation, call.words, is_push=True)
        refusals = [each for part in judge_by(generation, push, asked) for each in part]
    else:
        refusals = list(judge_push(generation.agent.profile.git, push))
    if refusals:
        first = refusals[0]
        named = "the push" if first.ref is None else quote(first.ref)
        message = f"{named}: {first.problem}"
        return Verdict(
            allowed=False,
            operation=found.operation,
            message=message,
            rule=first.rule,
            broker=f"refused: {message}",
            # The daemon's check ends before the refs.
            is_past_check=True,
        )
    refs = ", ".join(quote(update.ref) for update in push.updates)
    said = f"; granted of refs: {refs}" if refs else ""
    if not call.is_whole:
        said += "; the client's git may name others too"
    return replace(
        found,
        asked=found.asked or _find_asked(generation, call, push),
        broker=f"{found.broker}{said}",
        is_part=not call.is_whole,
    )


def _find_asked(generation: Generation, call: GitCall, push: PushList) -> str | None:
    """The pattern that asks about one of the refs of a push; of a remote's name any place."""
    begins: Sequence[tuple[str, ...]] = (("git", "push", ""),)
    if call.words:
        begins = describe_fetch(_read(generation, call.words, is_push=True)).forms
    forms = ((*begin, update.ref) for begin in begins for update in push.updates)
    return generation.agent.profile.find_approval(forms)
