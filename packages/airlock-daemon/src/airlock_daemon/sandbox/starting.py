"""Starting a command in a box that bubblewrap makes: one that waits for it, or a fresh one."""

from collections.abc import Sequence

from airlock_daemon.command.launch import cannot_start
from airlock_daemon.command.order import CommandLine
from airlock_daemon.sandbox.box import Box
from airlock_daemon.sandbox.launch import BoxedLaunch
from airlock_daemon.sandbox.making import Workshop
from airlock_daemon.sandbox.room import Room


async def start_boxed(
    what: CommandLine,
    standard: Sequence[int],
    box: Box,
    *,
    by: Workshop,
    terminal: int = 0,
    kept: Sequence[int] = (),
    room: Room | None = None,
) -> BoxedLaunch:
    """Start `what` in `box`, made `by` this, otherwise as `Launcher.launch` does.

    `what.directory` is the box's directory on the host, as it was checked. In `room` one may wait
    that was made of the same. Raises Denied and Failed.
    """
    launch = None
    # What lies under a home may not change while another directory is laid over it (overlayfs of
    # the kernel's documentation): none waits.
    if room is not None and box.home is None:
        launch = room.take(box, by)
    if launch is None:
        launch = await by.make(box)
    try:
        launch.order(what, standard, box, launcher=by.launcher, terminal=terminal, kept=kept)
    except OSError as error:
        launch.close()
        raise cannot_start(what.program, error) from error
    except BaseException:
        launch.close()
        raise
    return launch
