"""Asks a person about a push, a fetch or a Git LFS transfer."""

from collections.abc import Awaitable, Callable, Iterator
from typing import TYPE_CHECKING

from airlock_daemon.boundary.approval.questions import ApprovalRequest
from airlock_daemon.boundary.brokers.git.rules import PART, name_operation, url_of, verb_of
from airlock_daemon.boundary.brokers.requester import Requester
from airlock_daemon.boundary.command import Emit
from airlock_daemon.errors import Denied
from airlock_modules import Destination, PushList, Refusal, RemoteRequest, Update
from airlock_modules.operation import Operation

if TYPE_CHECKING:
    from airlock_modules.remotes.lfs import Wanted

MAX_SHOWN = 50
"""The most refs of a push that a person is asked about."""


async def require_push_approval(
    push: PushList,
    asked: RemoteRequest,
    requester: Requester,
    emit: Emit,
    *,
    prepare: Callable[[], Awaitable[None]] | None,
) -> list[Refusal]:
    """Ask about a granted push if the profile requires it; returns why it is refused, if it is.

    `emit` gets the line for the client that waits; `prepare` is called before the wait.
    """
    is_asked = False
    for part in push.split(PART):
        is_asked = is_asked or requester.requires_approval(_list_forms(part.updates, asked))
        await requester.turns.take()
    if not is_asked:
        return []
    if len(push.updates) > MAX_SHOWN:
        problem = (
            f"a person has to approve it, and cannot look through {len(push.updates)} refs: push "
            f"at most {MAX_SHOWN} at once"
        )
        return [Refusal(ref=None, rule="approve", problem=problem)]
    if prepare is not None:
        await prepare()
    try:
        await requester.approve(describe_push(push, asked), emit)
    except Denied as error:
        return [Refusal(ref=None, rule=error.rule or "approve", problem=error.message)]
    return []


def describe_push(push: PushList, asked: RemoteRequest) -> ApprovalRequest:
    """A push for a person: each ref with both commits. An approval may last for its refs."""
    url = url_of(asked)
    details = [("url", url)]
    details += [(each.ref, _describe_update(each)) for each in push.updates]
    details += [("push option", option) for option in push.options]
    kinds = ((each.ref, "delete" if each.is_deletion else "update") for each in push.updates)
    return ApprovalRequest(
        operation=name_operation(asked, push.updates),
        details=tuple(details),
        forms=tuple(_list_forms(push.updates, asked)),
        # Paths and options may have blanks, and none of them a NUL.
        scope=tuple("\0".join((kind, ref, url, *sorted(push.options))) for ref, kind in kinds),
    )


def describe(asked: RemoteRequest) -> ApprovalRequest:
    """A fetch for a person, or a push before its refs are known.

    What is fetched is the client's choice, so it is not shown.
    """
    operation = name_operation(asked)
    return ApprovalRequest(
        operation=operation,
        details=(("url", url_of(asked)),),
        forms=tuple(("git", verb_of(asked), name) for name in list_names(asked.destination)),
        scope=(f"{verb_of(asked)} {url_of(asked)}",),
        note="which refs it fetches is not bound",
    )


class TransferApproval:
    """Asks a person about the Git LFS transfers of one conversation.

    Each belongs to a push or fetch. Where a pattern names the object (`git lfs upload`), each is
    asked about; where one asks for the push or fetch, a single answer is for the conversation.
    """

    def __init__(self, asked: RemoteRequest, requester: Requester) -> None:
        self._asked = asked
        self._requester = requester
        self._is_approved = False

    async def require(self, wanted: "Wanted", emit: Emit) -> None:
        """Wait until `wanted` is approved, if it has to be. Raises Denied."""
        one = describe_transfer(self._asked, wanted)
        if self._requester.requires_approval(one.forms):
            # What the records of others name is no longer the answer for the whole.
            self._is_approved = False
            await self._requester.approve(one, emit)
            return
        whole = self._describe_whole(wanted.operation)
        must_ask = self._requester.requires_approval(whole.forms)
        if must_ask and self._is_approved:
            return
        await self._requester.approve(whole, emit)
        self._is_approved = must_ask

    def _describe_whole(self, verb: str) -> ApprovalRequest:
        """All objects of the conversation; equal for all that transfer at the same time."""
        asked, names = self._asked, list_names(self._asked.destination)
        forms: list[tuple[str, ...]] = [("git", verb_of(asked), name) for name in names]
        refs = self._requester.current.agent.profile.git.refs if asked.is_push else ()
        pushes = [[("git", "push", name, each.text) for name in names] for each in refs]
        if pushes and all(map(self._requester.requires_approval, pushes)):
            # An upload names no ref, and here none can be pushed to unasked.
            forms += pushes[0]
        url = url_of(asked)
        return ApprovalRequest(
            operation=Operation(("git", "lfs", verb, str(asked.destination))),
            details=(("url", url),),
            forms=tuple(forms),
            scope=(f"lfs upload {url}" if asked.is_push else f"fetch {url}",),
            note="which large files it transfers, and how many, is not bound",
        )


def describe_transfer(asked: RemoteRequest, wanted: "Wanted") -> ApprovalRequest:
    """A Git LFS transfer for a person: its id is the hash of its content."""
    words = ("git", "lfs", wanted.operation, str(asked.destination), wanted.oid, str(wanted.size))
    names = list_names(asked.destination)
    return ApprovalRequest(
        operation=Operation(words),
        details=(("url", url_of(asked)),),
        forms=tuple((*words[:3], name, *words[4:]) for name in names),
    ).lasting


def list_names(destination: Destination) -> tuple[str, ...]:
    """The names of a repository in patterns: with and without user and port."""
    from airlock_modules.files.approvals import name_place  # noqa: PLC0415 - few need it

    path = f"/{destination.name}"
    return name_place(destination.user, destination.host, destination.port, path)


def _list_forms(updates: tuple[Update, ...], asked: RemoteRequest) -> Iterator[tuple[str, ...]]:
    """Each update as a push of its own: a pattern need not know what else is pushed with it."""
    for name in list_names(asked.destination):
        for each in updates:
            yield ("git", "push", name, each.ref, f"{each.old[:7]}..{each.new[:7]}")
        if not updates:
            yield ("git", "push", name)


def _describe_update(update: Update) -> str:
    if update.is_deletion:
        return f"deletes it, at {update.old}"
    if not update.old.strip("0"):
        return f"creates it at {update.new}"
    return f"from {update.old}\nto   {update.new}"
