"""Making a box by bubblewrap, as far as it does not depend on the command that it will be for."""

import os
from collections.abc import Mapping
from contextlib import ExitStack

import msgspec
import trio

from airlock_daemon.command.launch import cannot_start
from airlock_daemon.command.launcher import Launcher, find_launcher, make_pair
from airlock_daemon.command.order import Identity
from airlock_daemon.sandbox.box import Box, Shared
from airlock_daemon.sandbox.bubblewrap import prepare
from airlock_daemon.sandbox.groups import OpenGroup, open_none
from airlock_daemon.sandbox.launch import BoxedLaunch
from airlock_daemon.sandbox.shared import opened
from airlock_daemon.setup.reserved import Reserved


class Workshop(msgspec.Struct, frozen=True, kw_only=True):
    """By what boxes are made: the program `bubblewrap`, started by the `launcher`.

    It runs as `identity` with all that is in a box, in the cgroup that `open_group` gives, if any.
    What is `reserved` is in none, and `null` is an open /dev/null. Threads of `lookups` open what
    has to be waited for; without them such a box is not made. `is_trial` says that they are made to
    see whether that works.
    """

    bubblewrap: str
    launcher: Launcher
    identity: Identity
    reserved: Reserved
    null: int
    lookups: trio.CapacityLimiter | None
    open_group: OpenGroup = open_none
    is_trial: bool = False

    async def make(self, box: Box) -> BoxedLaunch:
        """Have `box` made, but for its directory.

        It need not have come to its end: an order waits for that, and is told what went wrong. The
        caller closes it. Raises Denied and Failed.
        """
        try:
            root = os.open("/", os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                async with opened(box, self.reserved, self.lookups) as shared:
                    return await self._make(box, root, shared)
            finally:
                os.close(root)
        except OSError as error:
            raise cannot_start(self.bubblewrap, error) from error

    async def _make(self, box: Box, root: int, shared: Mapping[Shared, int]) -> BoxedLaunch:
        with ExitStack() as undo:
            said = os.memfd_create("airlock-box-said", os.MFD_CLOEXEC)
            undo.callback(os.close, said)
            near = far = None
            if box.doors is not None:
                # What the box has of the two.
                near, far = make_pair()
                undo.callback(near.close)
                undo.callback(far.close)
            group = self.open_group()
            if group is not None:
                undo.callback(group.close)
            ours, theirs = make_pair()
            undo.callback(ours.close)
            with (
                theirs,
                prepare(
                    box,
                    self.bubblewrap,
                    launcher=find_launcher(),
                    identity=self.identity,
                    control=theirs.fileno(),
                    doors=None if far is None else far.fileno(),
                    root=root,
                    shared=shared,
                ) as making,
            ):
                maker = await self.launcher.launch(
                    making.command_line,
                    (self.null, self.null, said),
                    kept=making.kept,
                    identity=None if self.identity.user == os.geteuid() else self.identity,
                    group=None if group is None else group.descriptor,
                )
            undo.callback(maker.close)
            launch = BoxedLaunch(ours, maker, said, group, near, is_trial=self.is_trial)
            undo.pop_all()
            if far is not None:
                far.close()
        return launch
