"""The paths among a command's arguments: held in the workspace, and written as the host has them.

This looks at where the paths lead when the request comes. What a tool opens later, and where a
link leads by then, is out of reach for anybody who looks at arguments alone.
"""

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import closing

import trio

from airlock_daemon.errors import Denied
from airlock_daemon.setup.reserved import Reserved
from airlock_daemon.workspace.area import Area
from airlock_daemon.workspace.directory import Workspace, make_empty
from airlock_daemon.workspace.mapping import Mounts
from airlock_modules import Flag, OptionTable, Parsed, PathUse, parse
from airlock_wire import quote

# After so many paths the requests of others get their turn.
_AT_ONCE = 4

Pause = Callable[[], Awaitable[None]]
"""Waits until the agent may go on."""


async def hold_paths(
    args: Sequence[str],
    uses: Sequence[PathUse],
    *,
    table: OptionTable | None,
    directory: Workspace,
    reserved: Reserved,
    pause: Pause = trio.lowlevel.checkpoint,
) -> tuple[str, ...]:
    """Check that the paths among `args` stay in the workspace; return the arguments for the tool.

    `uses` are the paths that the evaluator found when it read `args` by `table`. A path that begins
    with `/` is one of the client: it must lie in a directory that is mapped, and the host's path of
    the same place is put for it. Everything else is passed on as it was written. Raises Denied
    (layer "workspace").
    """
    if not uses:
        return tuple(args)
    places: dict[str, str] = {}
    with closing(Area(directory, reserved)) as area:
        for number, path in enumerate(dict.fromkeys(use.path for use in uses), start=1):
            places[path] = area.locate(path)
            if number % _AT_ONCE == 0:
                await pause()
    # A path that is joined from one that the tool enters first stands nowhere as a whole.
    moved = {
        (use.place, use.text): places[use.text]
        for use in uses
        if use.path == use.text and places[use.text] != use.text
    }
    if table is None or not moved:
        return tuple(args)
    return _rewrite(args, parse(table, args), moved, table.path_prefixes)


async def judge_paths(
    args: Sequence[str],
    uses: Sequence[PathUse],
    *,
    table: OptionTable | None,
    mounts: Mounts,
    reserved: Reserved,
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
            args, uses, table=table, directory=directory, reserved=reserved, pause=pause
        )
    finally:
        directory.close()


def _rewrite(
    args: Sequence[str],
    parsed: Parsed,
    moved: Mapping[tuple[int, str], str],
    prefixes: Sequence[str],
) -> tuple[str, ...]:
    """Put the new path for the old one at the end of each argument that has it.

    `moved` gives the new path by the place of the flag or word and the old path. Raises Denied for
    a path that stands in no argument as a whole.
    """
    written: dict[int, str] = {}
    left = set(moved)
    for place, text, argument in _find_texts(args, parsed):
        for path in (text, *(text[len(each) :] for each in prefixes if text.startswith(each))):
            if (place, path) in moved and args[argument].endswith(path):
                written[argument] = args[argument].removesuffix(path) + moved[place, path]
                left.discard((place, path))
    if left:
        # On the host it would mean another place than the one that was checked.
        raise Denied(
            f"the path {quote(min(left)[1])} cannot be translated to one of the host",
            layer="workspace",
            rule="path",
            hint="a person on the host can map the directory at the same path in both",
        )
    return tuple(written.get(place, text) for place, text in enumerate(args))


def _find_texts(args: Sequence[str], parsed: Parsed) -> Iterator[tuple[int, str, int]]:
    """Yield the place of each flag or word, what could be a path there, and in which argument."""
    for word in parsed.words:
        yield word.place, word.text, word.place
    for flag in (*parsed.globals, *parsed.flags):
        for number, value in enumerate(flag.values):
            yield flag.place, value, _find_argument(args, flag, number)


def _find_argument(args: Sequence[str], flag: Flag, number: int) -> int:
    value = flag.values[number]
    if value and args[flag.place].endswith(value):
        return flag.place
    takes_several = any(spec.takes == "several" for spec in flag.specs)
    return flag.place + 1 + (number if takes_several else 0)
