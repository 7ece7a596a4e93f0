"""Whether a push may do what its list of refs says."""

import re

from msgspec import Struct

from airlock_modules.remotes.grants import GitGrant
from airlock_modules.remotes.patterns import fold
from airlock_modules.remotes.push_list import PushList, Update
from airlock_wire.text import quote

# git-check-ref-format(1), and parts that end with a dot, which Windows leaves out: what a server
# may take for another ref than it is.
_MISSHAPEN = re.compile(r"\.\.|//|/\.|@\{|[\x00-\x20\x7f~^:?*\[\\]|\.lock(?:/|$)|\./|[/.]$")
_BY_DEFAULT = ("refs/heads/", "refs/tags/")
# More than any server takes.
_LONGEST = 512


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a push is not sent. `ref` is None where it is not one ref's fault; `rule` is for records.

    The text of `problem` is one line, for the person who pushed.
    """

    ref: str | None
    rule: str
    problem: str


def judge_push(grant: GitGrant, push: PushList) -> tuple[Refusal, ...]:
    """Say what is refused; nothing of a push is sent unless nothing is."""
    refusals = []
    for option in push.options:
        if not any(pattern.fullmatch(option) for pattern in grant.push_options):
            problem = f"the push option {quote(option, limit=60)} is not granted"
            refusals.append(Refusal(ref=None, rule="push_options", problem=problem))
            break
    refusals += filter(None, (_judge_update(grant, update) for update in push.updates))
    return tuple(refusals)


def _judge_update(grant: GitGrant, update: Update) -> Refusal | None:
    ref = update.ref
    if len(ref) > _LONGEST or not ref.isprintable() or _MISSHAPEN.search(ref):
        return Refusal(ref=ref, rule="refs", problem="this is no name of a ref")
    if any(pattern.fullmatch(each) for each in fold(ref) for pattern in grant.protect):
        return Refusal(ref=ref, rule="protect", problem="[git] protect keeps it as it is")
    if not _is_granted(grant, ref):
        problem = "[git] refs does not name it" if grant.refs else "this is no branch and no tag"
        return Refusal(ref=ref, rule="refs", problem=problem)
    if update.is_deletion and not grant.delete:
        return Refusal(ref=ref, rule="delete", problem="deleting is not granted by [git] delete")
    return None


def _is_granted(grant: GitGrant, ref: str) -> bool:
    if grant.refs is None:
        # A server that takes another character for `/` or for an option is not to be met here.
        return ref.startswith(_BY_DEFAULT) and "%" not in ref
    return any(pattern.fullmatch(ref) for pattern in grant.refs)
