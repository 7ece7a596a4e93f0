"""Containers with mounts inside their workspace, and running commands in boxes for them.

The container's mount table is made up, after this host's; `e2e` tests real containers.
"""

import os
import signal
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio
from msgspec.structs import replace
from trio.testing import wait_all_tasks_blocked

from airlock_daemon.boundary.box.box import Box
from airlock_daemon.boundary.box.launch import BoxBuilder, BoxedLaunch
from airlock_daemon.boundary.box.plan import find_watched, plan_box, put_workspaces
from airlock_daemon.boundary.box.prewarmed import Boxes, BoxPool, start_boxed
from airlock_daemon.boundary.command import CommandLine, Ended, NativeLauncher
from airlock_daemon.boundary.workspace.directory import Mounts
from airlock_daemon.boundary.workspace.temporary import Workspace
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.linux.mountinfo import MountRow, MountTable
from airlock_daemon.setup.agents import Agent
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.paths import Reserved
from boxing import box_identity
from descent import descend, name_of
from launching import launcher_path
from worlds import World

NOTHING = Reserved(())
BUBBLEWRAP = "/usr/bin/bwrap"
SECRET = "canary-71c3"
"""Content of the workspace that no box may show."""


@contextmanager
def new_host(world: World) -> Iterator["Host"]:
    """A host with directories open to every user, and the agent of `world`'s profile."""
    (generation,) = world.load().generations.values()
    with tempfile.TemporaryDirectory(prefix="box-") as folder:
        root = Path(os.path.realpath(folder))
        root.chmod(0o755)
        yield Host(root, generation.agent)


class Host:
    """A directory that is a container's workspace, others beside it, and the container's mounts."""

    def __init__(self, root: Path, agent: Agent) -> None:
        self.root = root
        self.workspace = self.make("workspace")
        self.rows: list[MountRow] = []
        self.only_of_the_host: list[MountRow] = []
        self._agent = agent
        self.mount(self.workspace, "/workspace")

    def make(self, path: str, content: str | None = None) -> Path:
        """Make a directory below the root, with a file in it if there is content."""
        folder = self.root / path
        folder.mkdir(parents=True, exist_ok=True)
        folder.chmod(0o777)
        if content is not None:
            (folder / "file").write_text(content + "\n")
        return folder

    def mount(self, source: Path, target: str, *, read_only: bool = False) -> None:
        """Add a bind mount of a host path to the container."""
        row = MountTable.parse(Path("/proc/self/mountinfo").read_text()).find(str(source))
        assert row is not None
        below = os.path.relpath(source, row.point)
        root = os.path.normpath(os.path.join(row.root, below))
        self.add(row.kind, target, device=row.device, root=root, read_only=read_only)

    def add(
        self,
        kind: str,
        target: str,
        *,
        device: str = "0:9999",
        root: str = "/",
        read_only: bool = False,
    ) -> None:
        """Add a mount of something that the host does not have to the container."""
        number = 10_000_000 + len(self.rows)
        self.rows.append(MountRow(number, device, root, target, read_only, kind))

    def run(self, script: str, *, claimed: str = "/workspace") -> str:
        """The output of a script in a box of the container; raises AirlockError without a box."""

        async def run() -> str | AirlockError:
            async with open_runner() as runner:
                try:
                    return await self.run_by(runner, script, claimed=claimed)
                except AirlockError as error:
                    # Raised here, it would be wrapped in an exception group.
                    return error

        said = trio.run(run)
        if isinstance(said, AirlockError):
            raise said
        return said

    async def run_by(self, runner: "Runner", script: str, *, claimed: str = "/workspace") -> str:
        """The same, with this runner's prewarmed boxes."""
        with tempfile.TemporaryFile("w+") as output, self.enter(claimed) as workspace:
            await runner.run(workspace, script, output.fileno())
            output.seek(0)
            return output.read()

    @contextmanager
    def enter(self, claimed: str = "/workspace") -> Iterator[Workspace]:
        """The workspace at a directory of the container, in its current state."""
        mounts = Mounts(self._agent, rows=MountTable(self.rows), is_proven=True)
        mounts.host_rows = MountTable((*mounts.host_rows, *self.only_of_the_host))
        source = mounts.find(claimed).source
        directory = os.path.join(source.directory, source.below)
        descriptor = os.open(directory, os.O_PATH)
        try:
            yield Workspace(
                descriptor=descriptor,
                path=directory.rstrip("/"),
                root=source.directory,
                mounts=mounts,
                source=source,
            )
        finally:
            os.close(descriptor)


class Runner:
    """Runs commands in boxes of its own launcher; one may be prewarmed in `pool`."""

    def __init__(self, launcher: NativeLauncher, null: int, boxes: Boxes) -> None:
        self.launcher = launcher
        self.null = null
        self.boxes = boxes
        self.lookups = trio.CapacityLimiter(1)
        self.pool = self.open_pool()

    def open_pool(self) -> BoxPool:
        """A pool for another agent."""
        pool = BoxPool(self.boxes)
        pool.adopt(NOTHING)
        return pool

    async def run(
        self,
        workspace: Workspace,
        script: str,
        output: int,
        *,
        pool: BoxPool | None = None,
        box: Box | None = None,
    ) -> None:
        """Run a script to its end, in a closed box or in `box`; raises AirlockError on failure."""
        launch = await start_boxed(
            self.say(workspace, script),
            (self.null, output, output),
            box or plan(workspace),
            by=self.builder(),
            pool=self.pool if pool is None else pool,
        )
        await finish(launch)

    async def refill(self, *, pool: BoxPool | None = None) -> None:
        """Wait until new boxes are ordered after a command.

        A mount by another process on this host discards incomplete ones.
        """
        chosen = self.pool if pool is None else pool
        for _ in range(10):
            chosen.refill(NOTHING, has_ended=True)
            await wait_all_tasks_blocked()
            last = chosen._last
            if last is None or not chosen.needs(last):
                return

    async def make(self, box: Box) -> BoxedLaunch:
        """A new box without a command."""
        return await self.builder().make(box)

    def builder(self) -> BoxBuilder:
        """The builder of boxes."""
        return BoxBuilder(
            bubblewrap=BUBBLEWRAP,
            launcher=self.launcher,
            identity=box_identity(),
            reserved=NOTHING,
            null=self.null,
            lookups=self.lookups,
        )

    @staticmethod
    def say(workspace: Workspace, script: str) -> CommandLine:
        """The command line of a script."""
        variables = {"PATH": "/bin"}
        return CommandLine("/bin/sh", ("sh", "-c", script), variables, workspace.descriptor)


def plan(workspace: Workspace) -> Box:
    """The closed box of a system program."""
    box = plan_box(places=(), read={}, identity=box_identity(), limits=Limits())
    box = replace(box, watched=find_watched(box, ()))
    return put_workspaces(box, workspace, identity=box_identity(), reserved=NOTHING)


async def finish(launch: BoxedLaunch) -> None:
    """Wait for the end of a command; raises AirlockError if it did not start."""
    report: Ended | AirlockError | None = None
    while (report := launch.read_report()) is None:
        await trio.lowlevel.wait_readable(launch.control)
    launch.end()
    await launch.wait_gone()
    launch.close()
    if isinstance(report, AirlockError):
        raise report


@asynccontextmanager
async def open_runner() -> AsyncIterator[Runner]:
    """A runner with prewarmed boxes, for the length of the block."""
    launcher = NativeLauncher(launcher_path(), nofile=256)
    null = os.open(os.devnull, os.O_RDWR)
    boxes = Boxes(launcher, null)
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(boxes.run)
            yield Runner(launcher, null, boxes)
            nursery.cancel_scope.cancel()
    finally:
        boxes.close()
        launcher.close()
        os.close(null)


@contextmanager
def stopped() -> Iterator[None]:
    """Stop all launchers for the length of the block."""
    launchers = [pid for pid in descend(os.getpid()) if name_of(pid) == "airlock-launch"]
    for pid in launchers:
        os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        for pid in launchers:
            os.kill(pid, signal.SIGCONT)
