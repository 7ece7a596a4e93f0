"""What a box shows beside the workspace in which its command runs: the client's other ones."""

import functools
from collections.abc import Iterator, Sequence

from airlock_daemon.command.order import Identity
from airlock_daemon.errors import Denied
from airlock_daemon.platform.linux.mountinfo import relative_to
from airlock_daemon.sandbox.box import HOME, TMP
from airlock_daemon.sandbox.inner_mounts import Shown, may_enter, show_workspace
from airlock_daemon.sandbox.programs import SYSTEM
from airlock_daemon.setup.reserved import Reserved, is_within
from airlock_daemon.workspace.directory import Workspace
from airlock_wire import quote

# Where the box has things of its own; a workspace may lie neither there, above, nor below, but for
# the two that are its user's.
_OWN = (*SYSTEM, "/etc", "/proc", "/dev", "/sys", "/run")
_USERS = (TMP, HOME)


def show_others(
    workspace: Workspace,
    shown: Sequence[Shown],
    *,
    identity: Identity,
    reserved: Reserved,
    others: Sequence[str],
    is_fence: bool,
) -> Iterator[Shown]:
    """The client's directories that lie neither in nor above what is `shown`, nor in each other.

    One that a box cannot have as the container has it is left out, since the command may do without
    it: one that hides or protects what can be moved, that `identity` cannot enter, or that lies
    where the box has things of its own, `others` among them; and where the box `is_fence`, one that
    the host has at another path, or with something mounted inside.
    """
    if workspace.mounts is None:
        return
    sights = workspace.mounts.sights
    tops = [each.top.target for each in shown]
    sources = list(workspace.mounts.list_workspaces(reserved, beside=tops))
    for source in sorted(sources, key=lambda each: len(each.target)):
        if any(is_within(source.target, top) or is_within(top, source.target) for top in tops):
            continue
        # Where a link leads the container may have chosen.
        is_plain = sights.is_plain(source.directory)
        if not is_plain or not may_enter(source.directory, identity, sights):
            continue
        try:
            view = show_workspace(
                source,
                source.directory,
                workspace.mounts,
                identity=identity,
                reserved=reserved,
            )
            refuse_own(view.top.target, others)
        except Denied:
            continue
        if is_fence and (view.inner or view.top.path != view.top.target):
            continue
        if not any(relative_to(top, view.top.target) is not None for top in tops):
            tops.append(view.top.target)
            yield view


def refuse_own(target: str, others: Sequence[str]) -> None:
    """Raise Denied where a workspace at `target` is, holds or lies in a place of the box's own.

    `others` are those that this box has for its program.
    """
    place = _find_own(target, tuple(others))
    if place is not None:
        raise Denied(
            f"the container has its workspace at {quote(target)}, where a box has {place} of "
            "its own",
            layer="sandbox",
            rule="place",
            hint="mount the workspace at another path in the container, such as /workspace",
        )


@functools.lru_cache(maxsize=64)
def _find_own(target: str, others: tuple[str, ...]) -> str | None:
    for place in (*_OWN, *_USERS, *others):
        if is_within(place, target) or (place not in _USERS and is_within(target, place)):
            return place
    return None
