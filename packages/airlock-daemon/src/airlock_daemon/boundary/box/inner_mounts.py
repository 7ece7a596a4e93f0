"""Reproduces the client's workspace in a box, with all mounts inside it."""

import functools
import os
import stat
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial

import msgspec
import trio

from airlock_daemon.boundary.box.box import (
    HOME,
    TMP,
    Box,
    Cover,
    Memory,
    Null,
    Placed,
    Shared,
    identify_descriptor,
    list_shared,
)
from airlock_daemon.boundary.box.system import SYSTEM
from airlock_daemon.boundary.command import Identity, explain_changed
from airlock_daemon.boundary.workspace.directory import (
    HostPaths,
    Mounts,
    Source,
    Unmapped,
    find_in_thread,
    open_unlinked,
    refuse_replaced,
)
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import Denied
from airlock_daemon.path_text import is_within, join_below, list_above, relative_to
from airlock_daemon.platform.system import MountRow, MountTable
from airlock_daemon.setup.generation import Reserved
from airlock_wire import quote


def share(path: str, target: str, host_paths: HostPaths, *, read_only: bool) -> Shared:
    """Share the directory or file at `path`, as found in `host_paths`. Raises Denied."""
    found = host_paths.look(path)
    if found is None:
        raise explain_changed(f"the workspace {quote(path)}")
    mode = found.status.st_mode
    return Shared(path, target, found.file_id, read_only, is_file=stat.S_ISREG(mode))


@asynccontextmanager
async def opened(
    box: Box, reserved: Reserved, lookups: trio.CapacityLimiter | None
) -> AsyncIterator[Mapping[Shared, int]]:
    """Open all shared paths of `box`; closes them on exit.

    Opening that would block is done in threads of `lookups`, or refused if that is None. Raises
    Denied as `open_shared`.
    """
    found: dict[Shared, int] = {}
    try:
        for what in list_shared(box):
            open_it = partial(open_shared, what, reserved)
            if what not in found:
                try:
                    found[what] = open_it(at_once=True)
                except BlockingIOError as error:
                    if lookups is None:
                        raise explain_changed(f"the workspace {quote(what.path)}") from error
                    found[what] = await find_in_thread(open_it, lookups, drop=os.close)
        yield found
    finally:
        for descriptor in found.values():
            os.close(descriptor)


def open_shared(what: Shared, reserved: Reserved, *, at_once: bool = False) -> int:
    """Open the path found for the request; the caller closes it.

    Raises Denied if it has been replaced, and BlockingIOError as `open_unlinked`.
    """
    path = what.path
    descriptor, found = open_unlinked(path, is_file=what.is_file, at_once=at_once)
    is_it = found == path and identify_descriptor(descriptor) == what.file_id
    is_free = what.is_kept or reserved.conflict(found, may_be_home=True) is None
    if is_it and is_free:
        return descriptor
    os.close(descriptor)
    raise explain_changed(f"the workspace {quote(path)}")


_MASK_BYTES = 64 << 20


class ShownWorkspace(msgspec.Struct, frozen=True):
    """The client's workspace in the box: its top, and the mounts inside, in order."""

    top: Shared
    inner: tuple[Placed, ...] = ()


def show_workspace(
    source: Source, root: str, mounts: Mounts | None, *, identity: Identity, reserved: Reserved
) -> ShownWorkspace:
    """Plan how a box shows the workspace `source`, whose host directory is `root`.

    With `mounts`, this includes the container's mounts inside it, with their read-only flags. A
    tmpfs becomes an empty one; /dev/null over a file stays. Covered are mounts that the host cannot
    find or `identity` cannot enter, mounts that only the host has, and what the profile hides.
    Raises Denied for a mount that hides or protects something if the container could rename a
    directory above it, and for one whose source it could replace through another writable mount.
    """
    if mounts is None:
        return ShownWorkspace(share(root, source.target, HostPaths(), read_only=False))
    base, base_root = _find_base(source, root, mounts, reserved)
    profile, seen = mounts.agent.profile, mounts.rows.seen
    rows = {point: row for point, row in seen.items() if relative_to(point, base.target)}
    host_paths = mounts.host_paths
    movable = _Movable(mounts.rows)
    is_frozen = profile.read_only or (base.target in seen and seen[base.target].read_only)
    top = share(base_root, base.target, host_paths, read_only=is_frozen)
    refuse_replaced(base, top.file_id)
    view = _View(mounts, identity, reserved)
    if base.target in seen:
        movable.refuse_replaceable(seen[base.target])
    found: dict[str, Placed] = {}
    shown = {base.target: top}
    for target in sorted(rows, key=len):
        above = shown.get(_find_above(target, shown)) or top
        if _is_covered(target, found, shown):
            raise _refuse(target, "lies in one that a box has as an empty directory")
        what = view.find(rows[target], above)
        if not isinstance(what, Shared) or rows[target].read_only:
            movable.refuse(target, above)
        if isinstance(what, Shared):
            movable.refuse_replaceable(rows[target])
            shown[target] = what
        found[target] = view.place(what, target, above)
    for target in profile.hide:
        if relative_to(target, base.target) and not _is_covered(target, found, shown):
            above = shown.get(_find_above(target, shown)) or top
            # Also where it is not there: the container may have moved it away already.
            movable.refuse(target, above)
            if host_paths.look(_find_below(above, target)) is not None:
                shown.pop(target, None)
                found[target] = view.place(view.cover(target, above), target, above)
    _cover_strangers(view, movable, found, shown)
    return ShownWorkspace(top, tuple(found[target] for target in sorted(found, key=len)))


class _View(msgspec.Struct, frozen=True):
    mounts: Mounts
    identity: Identity
    reserved: Reserved

    def find(self, row: MountRow, above: Shared) -> Shared | Memory | Null | Cover:
        """Find what a box shows for a mount of the container below the directory `above`."""
        if os.path.basename(row.root) == "null" and row.kind in ("devtmpfs", "tmpfs"):
            return Null()
        host_paths = self.mounts.host_paths
        path = None if row.is_pseudo else self.mounts.find_directory(row)
        there = None if path is None else host_paths.look(path)
        if path is not None and there is not None and self._may_show(path):
            mode = there.status.st_mode
            # Only regular files: a box must not get the host's sockets.
            if stat.S_ISDIR(mode) or stat.S_ISREG(mode):
                read_only = row.read_only or self.mounts.agent.profile.read_only
                return share(path, row.point, host_paths, read_only=read_only)
        if row.kind == "tmpfs" and row.root == "/" and not row.read_only:
            return Memory(row.point, 0o1777, _MASK_BYTES)
        return self.cover(row.point, above)

    def cover(self, target: str, above: Shared) -> Cover | Null:
        """What hides the directory or file at `target`."""
        is_directory = self.mounts.host_paths.is_directory(_find_below(above, target))
        return Cover() if is_directory else Null()

    def place(self, what: Shared | Memory | Null | Cover, target: str, above: Shared) -> Placed:
        """Place `what` over the file that is now at `target`. Raises Denied if there is none."""
        path = _find_below(above, target)
        host_paths, is_mount = self.mounts.host_paths, path in self.mounts.host_rows.seen
        covers = host_paths.file_id(path)
        if covers is None and is_mount:
            # A cover by name alone would not do: the container can rename the host's mount points.
            raise _refuse_to_cover(
                f"{quote(path)} is a mount of the host's that cannot be looked at",
                hint="have a person on the host unmount it, or make it readable for the daemon",
            )
        if covers is None:
            raise explain_changed(quote(path))
        if not host_paths.is_plain(path):
            raise _refuse_to_cover(
                f"{quote(path)} is a symlink, or lies behind one, and is to be covered in a box",
                hint="remove the link; a profile can hide what it leads to, by the path of that",
            )
        return Placed(what, target, covers, is_mount=is_mount)

    def _may_show(self, path: str) -> bool:
        host_paths = self.mounts.host_paths
        is_free = self.reserved.conflict(path, may_be_home=True) is None
        return is_free and host_paths.is_plain(path) and may_enter(path, self.identity, host_paths)


def _find_base(source: Source, root: str, mounts: Mounts, reserved: Reserved) -> tuple[Source, str]:
    """The outermost mount of the container that contains `source`, and its directory."""
    points = [
        row.point
        for row in mounts.rows
        if row.point not in ("/", source.target)
        and relative_to(source.target, row.point) is not None
    ]
    for point in sorted(points, key=len):
        try:
            base = mounts.find(point).source
        except (Unmapped, Denied):
            continue
        path = base.directory
        is_plain = not base.below and mounts.host_paths.is_plain(path)
        if is_plain and reserved.conflict(path, may_be_home=base.may_be_home) is None:
            return base, path
    return source, root


def _is_covered(target: str, found: Mapping[str, Placed], shown: Mapping[str, Shared]) -> bool:
    return any(each in found and each not in shown for each in list_above(target))


def _find_above(target: str, shown: Mapping[str, Shared]) -> str:
    return next(each for each in list_above(target) if each in shown)


def _find_below(above: Shared, target: str) -> str:
    """The host path of the client's `target`, which lies below `above`."""
    return join_below(above.path, relative_to(target, above.target) or "")


class _Movable:
    """What the container can rename, or replace, through its writable mounts `rows`."""

    def __init__(self, rows: MountTable) -> None:
        self._seen = rows.seen
        # The mount points of each writable directory, by device and root.
        self._points: dict[tuple[str, str], dict[str, None]] = {}
        for row in rows:
            if not row.read_only:
                self._points.setdefault((row.device, row.root), {})[row.point] = None

    def refuse(self, target: str, above: Shared) -> None:
        """Raise Denied for a mount at `target` if a directory up to `above` can be renamed."""
        row = self._seen.get(above.target)
        # A mount point itself cannot be renamed.
        for part in list_above(relative_to(target, above.target) or ""):
            if part and (row is None or not row.read_only or self._find_other(row, part)):
                raise _refuse(target, "hides or protects something, and can be moved away with it")

    def refuse_replaceable(self, row: MountRow) -> None:
        """Raise Denied if it could replace the directory that `row` mounts."""
        point = self._find_other(row)
        if point is not None:
            problem = f"lies inside of what {quote(point)} is, where it can be replaced"
            raise _refuse(row.point, problem)

    def _find_other(self, row: MountRow, part: str = "") -> str | None:
        """A writable mount in which `part` of `row` lies, and elsewhere than `row` has it."""
        path, point = join_below(row.root, part), join_below(row.point, part)
        for root in list_above(path):
            for each in self._points.get((row.device, root), ()):
                if os.path.join(each, relative_to(path, root) or "") != point:
                    return each
        return None


def _refuse(target: str, problem: str) -> Denied:
    return Denied(
        f"the container has a mount at {quote(target)} that {problem}",
        layer="sandbox",
        rule="inner-mount",
        hint="mount it directly below the workspace or another mount, mount nothing above it "
        "elsewhere, or run the tool in the container itself",
    )


def _refuse_to_cover(problem: str, *, hint: str) -> Denied:
    return Denied(problem, layer="sandbox", rule="inner-mount", hint=hint)


def _cover_strangers(
    view: _View, movable: _Movable, found: dict[str, Placed], shown: Mapping[str, Shared]
) -> None:
    """Cover what only the host has mounted, unless a mount of the container's hides it for good."""
    strangers = [
        (os.path.join(each.target, rest), each)
        for each in shown.values()
        for row in view.mounts.host_rows
        if (rest := relative_to(row.point, each.path))
    ]
    for target, above in sorted(strangers, key=lambda each: len(each[0])):
        if _is_covered(target, found, shown):
            continue
        between = [each for each in list_above(target) if relative_to(each, above.target)]
        hiding = [each for each in between if each in shown]
        if hiding:
            movable.refuse(hiding[-1], above)
        elif target not in found:
            found[target] = view.place(view.cover(target, above), target, above)


def may_enter(path: str, identity: Identity, host_paths: HostPaths) -> bool:
    """Whether a user without further groups, and the daemon, can reach `path`."""
    directory = os.path.dirname(path)
    while directory != "/":
        found = host_paths.look(directory)
        if found is None or not _may(found.status, identity, stat.S_IXOTH):
            return False
        directory = os.path.dirname(directory)
    return host_paths.look(path) is not None


def _may(found: os.stat_result, identity: Identity, right: int) -> bool:
    if found.st_uid == identity.user:
        return bool(found.st_mode & right << 6)
    if found.st_gid == identity.group:
        return bool(found.st_mode & right << 3)
    return bool(found.st_mode & right)


# The box's own paths. No workspace may be at, above or below them, except below the last two, which
# are its user's.
_OWN = (*SYSTEM, "/etc", "/proc", "/dev", "/sys", "/run")
_USERS = (TMP, HOME)


def show_others(
    workspace: Workspace,
    shown: Sequence[ShownWorkspace],
    *,
    identity: Identity,
    reserved: Reserved,
    others: Sequence[str],
    is_fence: bool,
) -> Iterator[ShownWorkspace]:
    """Show the client's other directories, outside those `shown` and one another.

    Omits, since the command may not need it, a directory that the box cannot reproduce: one with a
    mount that `show_workspace` refuses, one that `identity` cannot enter, or one at the box's own
    paths or `others`. With `is_fence` it also omits one at another host path, or with inner mounts.
    """
    if workspace.mounts is None:
        return
    host_paths = workspace.mounts.host_paths
    tops = [each.top.target for each in shown]
    sources = list(workspace.mounts.list_workspaces(reserved, beside=tops))
    for source in sorted(sources, key=lambda each: len(each.target)):
        if any(is_within(source.target, top) or is_within(top, source.target) for top in tops):
            continue
        # The container may have chosen a symlink's target.
        is_plain = host_paths.is_plain(source.directory)
        if not is_plain or not may_enter(source.directory, identity, host_paths):
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
    """Raise Denied if a workspace at `target` overlaps the box's own paths.

    `others` are the paths that this box has for its program.
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
