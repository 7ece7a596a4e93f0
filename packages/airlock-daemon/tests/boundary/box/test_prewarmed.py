"""Tests of `airlock_daemon.boundary.box.prewarmed`: a box made ahead is never out of date."""

import os
import random
import select
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import trio
import trio.lowlevel
from msgspec.structs import replace
from trio.testing import MockClock, wait_all_tasks_blocked

from airlock_daemon.boundary.box import prewarmed
from airlock_daemon.boundary.box.box import Box, Home, Link, Shared, System, find_key, list_shared
from airlock_daemon.boundary.box.bubblewrap import prepare
from airlock_daemon.boundary.box.listeners import BoxListeners
from airlock_daemon.boundary.box.plan import find_watched, plan_box
from airlock_daemon.boundary.command import Bounds, Ended, Identity
from airlock_daemon.errors import AirlockError
from airlock_daemon.setup.limits import Limits
from airlock_daemon.setup.paths import Reserved
from boxing import box_identity, boxed_world, needs_bubblewrap, write_boxes
from container_hosts import BUBBLEWRAP, NOTHING, SECRET, Host, Runner, finish, plan, stopped
from descent import descend, name_of
from launching import launcher_path
from running import Daemon, read_until, request
from worlds import World

pytestmark = needs_bubblewrap

REPLACEMENTS = 150
# Whoever mounts anything on this host, or changes its /etc, has fresh ones made: so often at most.
MOUNTED = 5
PATIENCE_S = 10.0


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose workspace is at /workspace in the container."""
    with boxed_world() as world:
        world.write_profile(f'[workspace]\nmounts = {{ "/workspace" = "{world.workspace}" }}\n')
        monkeypatch.chdir(world.root)
        yield world


def wait_for_box(daemon: Daemon) -> frozenset[int]:
    """The bubblewrap processes of boxes that wait, once there is one.

    One that went for what somebody mounts on this host leaves none: the next command asks for it.
    """
    for _ in range(MOUNTED):
        until = time.monotonic() + PATIENCE_S
        while time.monotonic() < until:
            if found := find_boxes(daemon):
                return found
            os.sched_yield()
        daemon.shell("true", cwd="/workspace")
    raise AssertionError("no box was made ahead")


def find_boxes(daemon: Daemon) -> frozenset[int]:
    """The processes that made a box which is there."""
    return frozenset(pid for pid in descend(daemon.process.pid) if is_maker(pid))


def is_maker(pid: int) -> bool:
    """Whether a process is a bubblewrap that has made a box: the launcher is in it."""
    try:
        return name_of(pid) == "bwrap" and any(name_of(each) != "bwrap" for each in descend(pid))
    except (FileNotFoundError, ProcessLookupError):
        return False


def run_in_some(daemon: Daemon) -> int:
    """Run a command, and return which box was its own."""
    with daemon.connect() as connection:
        connection.sendall(request("sh", "-c", "echo up; sleep 600; exit", cwd="/workspace"))
        read_until(connection, "up")
        makers = find_boxes(daemon)
        return next(pid for pid in makers if "sh" in map(name_of, descend(pid)))


def assert_gone(pid: int) -> None:
    """Wait for the end of a process that may have ended."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    poll = select.poll()
    poll.register(descriptor, select.POLLIN)
    assert poll.poll(30_000)
    os.close(descriptor)


def test_a_command_gets_the_box_that_waits_and_nobody_gets_it_again(world: World) -> None:
    """It was made when the one before had its answer."""
    with Daemon(world) as daemon:
        for _ in range(MOUNTED):
            assert daemon.shell("true", cwd="/workspace").exit_code == 0
            boxes = wait_for_box(daemon)
            box = run_in_some(daemon)
            assert_gone(box)
            if box in boxes:
                break
        assert box in boxes
        assert daemon.shell("echo next", cwd="/workspace").text() == "next\n"


def test_the_next_box_is_made_while_a_command_runs(world: World) -> None:
    """For another one that the agent may ask for meanwhile."""
    with Daemon(world) as daemon:
        for _ in range(MOUNTED):
            with daemon.connect() as connection:
                script = "echo up; sleep 600; exit"
                connection.sendall(request("sh", "-c", script, cwd="/workspace"))
                read_until(connection, "up")
                # Its own one, and the one that then waits, if nobody mounts anything.
                until = time.monotonic() + PATIENCE_S
                while len(boxes := find_boxes(daemon)) < 2 and time.monotonic() < until:
                    os.sched_yield()
                box = run_in_some(daemon)
            if box in boxes:
                break
        assert box in boxes


def test_agents_that_ask_for_nothing_have_none(world: World) -> None:
    """Nor has one whose command was refused."""
    with Daemon(world) as daemon:
        assert daemon.shell("true", cwd="/elsewhere/..").error
        assert not find_boxes(daemon)


@pytest.mark.parametrize("part", ["bwrap", "airlock-launch"])
def test_a_box_that_was_killed_while_it_waited_is_not_used(world: World, part: str) -> None:
    """The command has a fresh one, and does not notice."""
    with Daemon(world) as daemon:
        own = run_in_some(daemon)
        assert_gone(own)
        for box in wait_for_box(daemon):
            inside = next(pid for pid in descend(box) if name_of(pid) != "bwrap")
            os.kill(box if part == "bwrap" else inside, signal.SIGKILL)
            assert_gone(box)
        assert daemon.shell("echo fresh", cwd="/workspace").text() == "fresh\n"


@pytest.mark.parametrize("change", ["reload", "removal", "stop", "kill"])
def test_boxes_go_with_what_they_were_made_by(world: World, change: str) -> None:
    """A reading of the files, the agent, the daemon."""
    write_boxes(world, more="[daemon]\nshutdown_grace_s = 0\n")
    world.add_agent("other")
    with Daemon(world) as daemon:
        daemon.shell("true", cwd="/workspace")
        boxes = wait_for_box(daemon)
        if change == "removal":
            world.agents_file.write_text(f'[other]\npath = "{world.agent.with_name("other")}"\n')
        if change in ("reload", "removal"):
            daemon.process.send_signal(signal.SIGHUP)
        elif change == "stop":
            assert daemon.stop() == 0
        else:
            daemon.process.kill()
        for pid in boxes:
            assert_gone(pid)


def test_nothing_of_a_command_is_in_the_box_of_the_next(world: World) -> None:
    """And a file that was replaced, in whatever way, is seen as it is now."""
    script = "cat file; ls -A /tmp /dev/shm ~; env | grep -c MARK; for each in /tmp /dev/shm ~; do"
    script += " echo > $each/left; done; ulimit -c; umask 0777; ulimit -n 20; sleep 600 & true"
    said = set()
    with Daemon(world) as daemon:
        for number in range(REPLACEMENTS):
            replace_numbered(world, number)
            answer = daemon.ask(
                "sh", "-c", script, cwd="/workspace", env={"MARK": "x"}, features=["env"]
            )
            text = answer.text() if "result" in answer.last else str(answer.error)
            said.add(text.removeprefix(f"{number}\n"))
    (one,) = said
    assert "left" not in one
    assert one.startswith("/dev/shm:\n\n/home/airlock:\n\n/tmp:\n")


def replace_numbered(world: World, number: int) -> None:
    """Put another file in its place, or other contents in it, and say the number in it."""
    file, other = world.workspace / "file", world.workspace / "other"
    if number % 3 == 0:
        file.unlink(missing_ok=True)
    elif number % 3 == 1:
        other.write_text("")
        other.rename(file)
    file.write_text(f"{number}\n")


def test_a_workspace_that_is_gone_is_missing_though_a_box_has_it(world: World) -> None:
    """Put back, it is the same one."""
    away = Path(f"{world.workspace}-away")
    with Daemon(world) as daemon:
        daemon.shell("true", cwd="/workspace")
        wait_for_box(daemon)
        world.workspace.rename(away)
        assert daemon.shell("ls", cwd="/workspace").error["data"]["layer"] == "workspace"
        world.workspace.symlink_to(away)
        assert daemon.shell("ls", cwd="/workspace").error["data"]["layer"] == "workspace"
        world.workspace.unlink()
        away.rename(world.workspace)
        assert daemon.shell("pwd", cwd="/workspace").text() == "/workspace\n"


TRIES = 60


def replace_file(path: Path) -> None:
    """As an editor saves: what is mounted there elsewhere comes off."""
    new = path.with_name("new")
    new.write_text(SECRET)
    new.rename(path)


def replace_directory(path: Path, content: str) -> None:
    """Put another one in its place."""
    path.rename(path.with_name("away"))
    path.mkdir()
    path.chmod(0o777)
    (path / "file").write_text(content)


CHANGES: dict[str, tuple[Callable[[Host], object], str]] = {
    "nothing": (lambda _: None, "lib\n"),
    "source": (lambda host: replace_directory(host.root / "lib", "other\n"), "other\n"),
    "mount point": (lambda host: replace_directory(host.workspace / "lib", SECRET), "lib\n"),
    "masked": (lambda host: replace_file(host.workspace / "mask"), "lib\n"),
    "hidden": (lambda host: replace_file(host.workspace / "hidden"), "lib\n"),
    "read-only": (
        lambda host: host.mount(host.root / "lib", "/workspace/lib", read_only=True),
        "lib\n",
    ),
}


@pytest.mark.parametrize("change", CHANGES)
async def test_a_box_is_as_if_it_were_made_now(runner: Runner, host: Host, change: str) -> None:
    """Whatever was replaced since one was made that waits."""
    do, expected = CHANGES[change]
    assert await host.run_by(runner, "cat lib/file mask hidden") == "lib\n"
    await runner.refill()
    assert runner.pool.count == 1
    do(host)
    assert await host.run_by(runner, "cat lib/file mask hidden") == expected
    # It is taken if nothing has changed, and only then.
    assert runner.pool.count == (change != "nothing")
    said = await host.run_by(runner, "(echo x > lib/new) 2>/dev/null || echo kept")
    assert said == ("kept\n" if change == "read-only" else "")


@pytest.mark.parametrize("trick", ["unlink", "rename", "swap"])
async def test_what_came_off_while_a_box_waited_keeps_the_command_from_starting(
    runner: Runner, host: Host, trick: str
) -> None:
    """Should the key not tell: the launcher in the box looks itself, at whatever moment it is."""
    chance = random.Random(16)  # noqa: S311 - when, not what
    mask, away = host.workspace / "mask", host.workspace / "away"
    (host.workspace / "other").write_text(SECRET)
    host.mount(host.make("pinned", SECRET) / "file", "/workspace/other")
    refused = 0
    for _ in range(TRIES):
        with tempfile.TemporaryFile("w+") as output, host.enter() as workspace:
            box = plan(workspace)
            fresh = await runner.make(box)
            await trio.sleep(chance.uniform(0, 0.05))
            if trick == "unlink":
                mask.unlink()
                mask.write_text(SECRET)
            elif trick == "rename":
                mask.rename(away)
                away.with_name("copy").write_text(SECRET)
                away.with_name("copy").rename(mask)
            else:
                # What then stands there is a mount of the box, but another one.
                mask.rename(away)
                (host.workspace / "other").rename(mask)
                away.rename(host.workspace / "other")
            standard = (runner.null, output.fileno(), output.fileno())
            what = runner.say(workspace, "cat mask")
            fresh.order(what, standard, box, launcher=runner.launcher)
            try:
                await finish(fresh)
            except AirlockError:
                refused += 1
            output.seek(0)
            assert SECRET not in output.read()
    assert refused


async def test_a_box_says_that_it_waits_and_stays_until_it_is_told_to_go(
    runner: Runner, host: Host
) -> None:
    """The first where no order is there, the second so that the client has its answer first."""
    with host.enter() as workspace:
        box = plan(workspace)
        launch = await runner.make(box)
        while not launch.is_made():
            await trio.lowlevel.wait_readable(launch.control)
        assert launch.is_waiting()
        what = runner.say(workspace, "exit 3")
        launch.order(what, (runner.null,) * 3, box, launcher=runner.launcher)
        while (report := launch.read_report()) is None:
            await trio.lowlevel.wait_readable(launch.control)
        assert report == Ended(3, None)
        assert not launch.is_gone()
        launch.end()
        await launch.wait_gone()
        launch.close()


MUTATIONS: dict[str, Callable[[Box], object]] = {
    "operations": lambda box: (*box.operations, Link("x", "/x")),
    "watched": lambda box: (*box.watched, "/"),
    "home": lambda _: Home("/root", 1 << 20),
    "inner": lambda box: tuple(reversed(box.inner)),
    "directory": lambda _: "/workspace/lib",
    "is_shared": lambda box: not box.is_shared,
    "bounds": lambda _: Bounds(processes=1),
    "sockets": lambda _: "unix",
    "has_network": lambda box: not box.has_network,
    "requests": lambda _: ("git-remote",),
    "listeners": lambda _: BoxListeners(engine="@docker"),
    "follows": lambda box: not box.follows,
}
# The launcher in there is told of these by the order, or the daemon alone goes by them.
ORDERED = ("directory", "is_shared")
NOT_MADE = (*ORDERED, "bounds", "requests", "watched")


@pytest.mark.parametrize("name", MUTATIONS)
async def test_all_that_a_box_is_made_of_is_in_its_key(host: Host, name: str) -> None:
    """Each field gives another key; and another box, unless it is no part of its making."""
    assert set(MUTATIONS) == set(Box.__struct_fields__)
    me = box_identity()
    with host.enter() as workspace:
        box = plan(workspace)
        other = replace(box, **{name: MUTATIONS[name](box)})
        key = find_key(box, bubblewrap=BUBBLEWRAP, identity=me)
        assert (find_key(other, bubblewrap=BUBBLEWRAP, identity=me) == key) is (name in ORDERED)
        with pinned(box) as shared:
            assert (spell(box, shared) == spell(other, shared)) is (name in NOT_MADE)


async def test_the_key_of_a_box_tells_who_makes_it(host: Host) -> None:
    """The program and the user."""
    me = box_identity()
    with host.enter() as workspace:
        box = plan(workspace)
    key = find_key(box, bubblewrap=BUBBLEWRAP, identity=me)
    assert find_key(box, bubblewrap="/opt/bwrap", identity=me) != key
    assert find_key(box, bubblewrap=BUBBLEWRAP, identity=Identity(me.user, 1)) != key


@contextmanager
def pinned(box: Box) -> Iterator[dict[Shared, int]]:
    """A descriptor for each directory of the client's."""
    found = {each: os.open(each.path, os.O_PATH) for each in list_shared(box)}
    try:
        yield found
    finally:
        for descriptor in found.values():
            os.close(descriptor)


def spell(box: Box, shared: dict[Shared, int]) -> tuple[bytes, tuple[str, ...]]:
    """All that bubblewrap, and the launcher in the box, are told so that they make it."""
    root = os.open("/", os.O_PATH)
    try:
        with prepare(
            box,
            BUBBLEWRAP,
            launcher=launcher_path(),
            identity=box_identity(),
            control=root,
            listeners=None,
            root=root,
            shared=shared,
        ) as making:
            return os.pread(making.kept[0], 1 << 16, 0), making.command_line.argv
    finally:
        os.close(root)


async def test_a_copy_is_of_what_its_file_has_now(tmp_path: Path) -> None:
    """An edit in place, of which the directory shows nothing, makes another key."""
    copied = tmp_path / "services"
    copied.write_text("before\n")
    box = plan_box(places=(), read={}, identity=box_identity(), limits=Limits())
    own = System(str(copied), "/etc/services", is_copied=True)
    box = replace(box, operations=(*box.operations, own))
    box = replace(box, watched=find_watched(box))
    before = find_key(box, bubblewrap=BUBBLEWRAP, identity=box_identity())
    assert find_key(box, bubblewrap=BUBBLEWRAP, identity=box_identity()) == before
    os.utime(copied, ns=(0, 0))
    assert find_key(box, bubblewrap=BUBBLEWRAP, identity=box_identity()) != before


async def test_boxes_of_one_reading_are_not_for_another(runner: Runner, host: Host) -> None:
    """A request that began before a reload has a fresh one, and one is never kept past it."""
    await host.run_by(runner, "true")
    await runner.refill()
    later = Reserved((("config", "/nowhere"),))
    runner.pool.adopt(later)
    assert runner.pool.count == 0
    await host.run_by(runner, "true")
    await runner.refill()
    assert runner.pool.count == 0
    # One that is just being made, too.
    runner.pool.adopt(NOTHING)
    await host.run_by(runner, "true")
    runner.pool.refill(NOTHING, has_ended=True)
    runner.pool.adopt(None)
    await wait_all_tasks_blocked()
    assert runner.pool.count == 0


async def test_they_are_few(runner: Runner, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    """One for an agent, two where that was not enough; in all so many, of who asked last."""
    monkeypatch.setattr(prewarmed, "MAX_TOTAL", 3)
    monkeypatch.setattr(prewarmed, "POOL_SIZE", 2)
    pools = [runner.open_pool() for _ in range(3)]
    with host.enter() as workspace:
        for each in pools:
            await runner.run(workspace, "true", runner.null, pool=each)
            await runner.refill(pool=each)
        assert [each.count for each in pools] == [1, 1, 1]
        last = pools[-1]
        while not last.is_trusted:
            runner.boxes.close_stale()
            await trio.lowlevel.checkpoint()
        # Two in a row, of which the second one finds none.
        for _ in range(2):
            await runner.run(workspace, "true", runner.null, pool=last)
        await runner.refill(pool=last)
        assert [each.count for each in pools] == [0, 1, 2]
    # Others than before take their place.
    assert await host.run_by(runner, "cat lib/file") == "lib\n"
    host.make("workspace/more")
    host.mount(host.root / "lib", "/workspace/more")
    with host.enter() as workspace:
        await runner.run(workspace, "true", runner.null, pool=last)
        await runner.refill(pool=last)
        assert last.count == 2


async def test_there_are_more_the_more_commands_had_to_wait(
    runner: Runner, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One more for each, four at most; and one again when that is long ago."""
    with host.enter() as workspace:
        for count in (1, 2, 3, 4, 4):
            runner.pool.empty()
            await runner.run(workspace, "true", runner.null)
            await runner.refill()
            assert runner.pool.count == count
        monkeypatch.setattr(prewarmed, "_BUSY_S", 0.0)
        runner.pool.empty()
        await runner.run(workspace, "true", runner.null)
        await runner.refill()
        assert runner.pool.count == 1


async def test_a_command_whose_box_is_not_complete_had_to_wait(runner: Runner, host: Host) -> None:
    """As one that finds none."""
    with host.enter() as workspace:
        await runner.run(workspace, "true", runner.null)
        with stopped():
            await runner.refill()
            taken = runner.pool.acquire(plan(workspace), runner.builder())
            assert taken is not None
            taken.close()
        await runner.refill()
        assert runner.pool.count == 2


async def test_they_go_when_nobody_asks(
    runner: Runner, host: Host, autojump_clock: MockClock
) -> None:
    """Those of an agent that asked for nothing in the last minutes."""
    with host.enter() as workspace:
        await runner.run(workspace, "true", runner.null)
        runner.pool.refill(NOTHING, has_ended=True)
        await trio.sleep(prewarmed.ACTIVE_S / 2)
        assert runner.pool.count == 1
        await trio.sleep(prewarmed.ACTIVE_S)
        assert runner.pool.count == 0
