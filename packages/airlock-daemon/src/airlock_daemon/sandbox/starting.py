"""Starting a command in a box that bubblewrap makes: one that waits for it, or a fresh one."""

from collections.abc import Sequence

from airlock_daemon.command.launch import cannot_start
from airlock_daemon.command.launcher import Launcher
from airlock_daemon.command.order import CommandLine, Identity
from airlock_daemon.sandbox.box import Box
from airlock_daemon.sandbox.groups import OpenGroup, open_none
from airlock_daemon.sandbox.launch import BoxedLaunch
from airlock_daemon.sandbox.making import make_box
from airlock_daemon.sandbox.room import Room
from airlock_daemon.setup.reserved import Reserved


async def start_boxed(
    what: CommandLine,
    standard: Sequence[int],
    box: Box,
    *,
    bubblewrap: str,
    launcher: Launcher,
    identity: Identity,
    reserved: Reserved,
    null: int,
    terminal: int = 0,
    kept: Sequence[int] = (),
    open_group: OpenGroup = open_none,
    room: Room | None = None,
) -> BoxedLaunch:
    """Start `what` in `box`, otherwise as `Launcher.launch` does.

    `what.directory` is the box's directory on the host, as it was checked. The program `bubblewrap`
    runs as `identity`, and with it all that is in the box, in the cgroup that `open_group` gives.
    In `room` one may wait that was made of the same. Raises Denied and Failed.
    """
    launch = None
    # What lies under a home may not change while another directory is laid over it (overlayfs of
    # the kernel's documentation): none waits.
    if room is not None and box.home is None:
        launch = room.take(box, bubblewrap=bubblewrap, identity=identity, reserved=reserved)
    if launch is None:
        fresh = await make_box(
            box,
            bubblewrap=bubblewrap,
            launcher=launcher,
            identity=identity,
            reserved=reserved,
            null=null,
            open_group=open_group,
        )
        launch = fresh.launch
    try:
        launch.order(what, standard, box, launcher=launcher, terminal=terminal, kept=kept)
    except OSError as error:
        launch.close()
        raise cannot_start(what.program, error) from error
    except BaseException:
        launch.close()
        raise
    return launch
