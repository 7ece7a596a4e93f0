"""What is decided about a conversation with a remote without asking the host's programs."""

from collections.abc import Sequence

from msgspec.structs import replace

from airlock_daemon.brokers.git.audit_detail import name_operation
from airlock_daemon.brokers.git.rules import (
    find_granted,
    judge_as_git,
    judge_by,
    read_asked,
    url_of,
    verb_of,
)
from airlock_daemon.cli.git_words import GitCall
from airlock_daemon.cli.verdict import Verdict
from airlock_daemon.errors import Denied
from airlock_daemon.setup.generation import Generation
from airlock_modules import (
    Place,
    PushList,
    RemoteError,
    RemoteRequest,
    judge_push,
    read_url_words,
)
from airlock_modules.operation import Operation
from airlock_wire import quote


def judge_call(generation: Generation, call: GitCall) -> Verdict:
    """Judge what a git would say to a remote: where it leads, and which refs it moves."""
    if call.url is None or not call.words:
        named = "no URL is named" if call.url is None else f"{quote(call.url)} is no URL"
        found = Verdict(
            allowed=True,
            broker=f"not known here: {named}; the client's repository knows its remotes",
            undecided=(call.url or "the remote",),
        )
    else:
        found = judge_words(generation, call.words, is_push=call.push is not None)
    if found.operation is not None and call.push is not None:
        # Which ids they have the client's git knows.
        refs = (update.ref for update in call.push.updates)
        found = replace(found, operation=Operation((*found.operation.words, *refs)))
    return _judge_refs(generation, call, found) if found.allowed and call.push else found


def judge_words(generation: Generation, words: Sequence[str], *, is_push: bool = False) -> Verdict:
    """Judge the words of git-remote, and where they lead.

    A place whose host the profile does not name by its name is looked at by the daemon: it is
    undecided. `is_push` is for URLs, whose words do not say it.
    """
    operation = None
    try:
        asked = _read(generation, words, is_push=is_push)
        operation = name_operation(asked)
        place = find_granted(asked, generation)
        judge_as_git((verb_of(asked), url_of(asked)), generation)
    except RemoteError as error:
        message = f"git-remote is refused: {error.problem}"
        return Verdict(
            allowed=False, message=message, rule=error.rule, broker=f"refused: {error.problem}"
        )
    except Denied as refusal:
        refused = _refuse(refusal.message, refusal.rule, refusal.hint)
        return replace(refused, operation=operation)
    return replace(_say_place(asked, place), operation=operation)


def _read(generation: Generation, words: Sequence[str], *, is_push: bool) -> RemoteRequest:
    transport, *rest = words or [""]
    if transport == "ssh":
        return read_asked(rest, generation)
    if transport not in ("https", "http"):
        raise RemoteError("only ssh and https are spoken", rule="transport")
    return RemoteRequest(
        destination=read_url_words(transport, rest),
        service="git-receive-pack" if is_push else "git-upload-pack",
    )


def _say_place(asked: RemoteRequest, place: Place | None) -> Verdict:
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
    return Verdict(allowed=True, broker=f"not known here: {looks}", undecided=(where,))


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
        # A daemon that checks goes as far as the place.
        refused = _refuse(f"{named}: {first.problem}", first.rule, None)
        return replace(refused, is_past_check=True, operation=found.operation)
    refs = ", ".join(quote(update.ref) for update in push.updates)
    said = f"; granted of refs: {refs}" if refs else ""
    if not call.is_whole:
        said += "; which others the client's git names is not known here"
    return replace(found, broker=f"{found.broker}{said}", is_part=not call.is_whole)


def _refuse(message: str, rule: str | None, hint: str | None) -> Verdict:
    return Verdict(
        allowed=False, message=message, rule=rule, hint=hint, broker=f"refused: {message}"
    )
