"""The paths among a command's arguments: held in the workspace, and written as the host has them.

This looks at where the paths lead when the request comes. What a tool opens later, and where a
link leads by then, is out of reach for anybody who looks at arguments alone.
"""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import closing

import trio
from msgspec.structs import replace

from airlock_daemon.errors import Denied
from airlock_daemon.setup.reserved import Reserved
from airlock_daemon.workspace.area import Area
from airlock_daemon.workspace.aside import look_aside
from airlock_daemon.workspace.directory import Workspace, make_empty
from airlock_daemon.workspace.mapping import Mounts
from airlock_modules import PathUse
from airlock_wire import quote

# After so many paths the requests of others get their turn.
_AT_ONCE = 4

Pause = Callable[[], Awaitable[None]]
"""Waits until the agent may go on."""


async def hold_paths(
    args: Sequence[str],
    uses: Sequence[PathUse],
    *,
    directory: Workspace,
    reserved: Reserved,
    lookups: trio.CapacityLimiter,
    pause: Pause = trio.lowlevel.checkpoint,
) -> tuple[str, ...]:
    """Check that the paths among `args` stay in the workspace; return the arguments for the tool.

    `uses` are the paths that the evaluator found when it read `args`. A path that begins with `/`
    is one of the client: it must lie in a directory that is mapped, and the host's path of the same
    file is put for it. Everything else is passed on as it was written. Raises Denied (layer
    "workspace") for a path that leads out, and for one that is another on the host and stands in no
    argument as a whole. Threads of `lookups` look at what has to be waited for.
    """
    if not uses:
        return tuple(args)
    found: dict[str, str] = {}
    with closing(Area(directory, reserved)) as area:
        for number, path in enumerate(dict.fromkeys(use.path for use in uses), start=1):
            try:
                found[path] = area.locate(path, at_once=True)
            except BlockingIOError:
                found[path] = await _locate_aside(path, directory, reserved, lookups)
            if number % _AT_ONCE == 0:
                await pause()
    written = [*args]
    for use in sorted(uses, key=lambda use: use.argument):
        # What leads from a directory that the tool enters first stays as it is.
        if use.path != use.text or found[use.text] == use.text:
            continue
        if use.offset is None:
            # On the host it would mean another place than the one that was checked.
            raise Denied(
                f"the path {quote(use.text)} cannot be translated to one of the host",
                layer="workspace",
                rule="path",
                hint="a person on the host can map the directory at the same path in both",
            )
        written[use.argument] = args[use.argument][: use.offset] + found[use.text]
    return tuple(written)


async def judge_paths(
    args: Sequence[str],
    uses: Sequence[PathUse],
    *,
    mounts: Mounts,
    reserved: Reserved,
    lookups: trio.CapacityLimiter,
    pause: Pause = trio.lowlevel.checkpoint,
) -> None:
    """Check the paths among `args` for a request that does not say where it would run.

    An absolute path is the same from everywhere, and must be mapped by `mounts`. A relative one may
    not climb above the unknown directory, since that could be the top of a workspace. Raises Denied
    as `hold_paths` does.
    """
    if not uses:
        return
    directory = make_empty(mounts)
    try:
        await hold_paths(
            args, uses, directory=directory, reserved=reserved, lookups=lookups, pause=pause
        )
    finally:
        directory.close()


async def _locate_aside(
    path: str, directory: Workspace, reserved: Reserved, lookups: trio.CapacityLimiter
) -> str:
    def locate(descriptor: int) -> str:
        alone = replace(directory, descriptor=descriptor)
        with closing(Area(alone, reserved)) as area:
            return area.locate(path)

    return await look_aside(locate, directory.descriptor, lookups)
