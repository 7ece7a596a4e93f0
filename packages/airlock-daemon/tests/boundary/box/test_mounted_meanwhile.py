"""Boxes that wait while something is mounted on the host: they go where it concerns them."""

from pathlib import Path

import pytest
import trio.lowlevel

from airlock_daemon.platform.linux.mountinfo import MountWatch
from boxing import needs_bubblewrap
from container_hosts import Host, Runner, stopped

pytestmark = needs_bubblewrap

ROW = "9999 1 0:99 / {} rw - tmpfs none rw\n"

MOUNTED = {
    "elsewhere": ("/var/lib/docker/overlay2/x/merged", True),
    "beside": ("{workspace}-2", True),
    "inside": ("{workspace}/lib/deep", False),
    "at a source": ("{lib}", False),
    "above": ("{root}", False),
    "in the system": ("/usr/local", False),
    "over the devices": ("/dev/shm", False),
}


@pytest.mark.parametrize("where", MOUNTED)
async def test_a_box_goes_by_a_mount_only_where_it_concerns_it(
    runner: Runner, host: Host, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """On the host, at, below or above what the box shows; and the same once it is gone again."""
    point, is_kept = MOUNTED[where]
    point = point.format(workspace=host.workspace, lib=host.root / "lib", root=host.root)
    await host.run_by(runner, "true")
    await fill(runner)
    # The second time it is not mounted any more.
    for row in (ROW.format(point), ""):
        mount(monkeypatch, row)
        runner.boxes.close_stale()
        assert runner.pool.count == is_kept
    assert await host.run_by(runner, "cat lib/file") == "lib\n"


async def test_a_box_that_was_just_being_made_goes_by_any_mount(
    runner: Runner, host: Host, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It could have what was gone again before anybody looked."""
    await host.run_by(runner, "true")
    with stopped():
        await runner.refill()
        assert runner.pool.count == 1
        mount(monkeypatch, "")
        runner.boxes.close_stale()
        assert runner.pool.count == 0
    monkeypatch.setattr(MountWatch, "has_changed", lambda _: False)
    assert await host.run_by(runner, "cat lib/file") == "lib\n"


async def test_a_box_is_looked_at_again_once_it_is_complete(runner: Runner, host: Host) -> None:
    """Without anybody who asks for one. Mounts that come later concern it if they are in it."""
    await host.run_by(runner, "true")
    await runner.refill()
    while not runner.pool.is_trusted:
        await trio.lowlevel.checkpoint()
    assert runner.pool.count == 1


async def fill(runner: Runner) -> None:
    """Have a box that waits, and is complete."""
    await runner.refill()
    while not runner.pool.is_trusted:
        runner.boxes.close_stale()
        await trio.lowlevel.checkpoint()
    assert runner.pool.count == 1


def mount(monkeypatch: pytest.MonkeyPatch, row: str) -> None:
    """Let the host have one mount more than it has, since a moment ago."""
    now = Path("/proc/self/mountinfo").read_text()
    monkeypatch.setattr(MountWatch, "has_changed", lambda _: True)
    monkeypatch.setattr(MountWatch, "read", lambda _: now + row)
