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
# More than any server takes.
_LONGEST = 512
# So many patterns are named in a refusal.
_MOST_NAMED = 3


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
        problem = f"[git] protect forbids it; allowed: {_name_allowed(grant)}"
        return Refusal(ref=ref, rule="protect", problem=problem)
    if not any(pattern.expression.fullmatch(ref) for pattern in grant.refs):
        problem = f"[git] refs does not allow it; allowed: {_name_allowed(grant)}"
        return Refusal(ref=ref, rule="refs", problem=problem)
    if update.is_deletion and not grant.delete:
        return Refusal(ref=ref, rule="delete", problem="deleting is not granted by [git] delete")
    return None


def _name_allowed(grant: GitGrant) -> str:
    """The patterns of `refs`, as a refusal names them."""
    named = [pattern.text for pattern in grant.refs[:_MOST_NAMED]]
    shown = [text if text.isprintable() else quote(text) for text in named]
    more = ["..."] if len(grant.refs) > _MOST_NAMED else []
    return ", ".join((*shown, *more)) or "no ref"
