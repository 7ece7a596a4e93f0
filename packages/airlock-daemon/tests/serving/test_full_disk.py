"""A disk that fills up under a running daemon, and has room again."""

import json
import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from running import Daemon
from worlds import World

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="to mount a file system takes root")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 KiB."""
    path = tmp_path / "disk"
    path.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=64k", "none", str(path)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("nothing can be mounted here")
    yield path
    subprocess.run(["umount", str(path)], check=True)


@pytest.mark.parametrize("on_error", ["deny", "warn"])
def test_a_disk_that_fills_refuses_or_warns_until_there_is_room(
    world: World, disk: Path, on_error: str
) -> None:
    """Nothing runs unrecorded with `deny`; no line is broken, and the log goes on by itself."""
    world.log = disk / "airlock.log"
    world.write_config(f'on_error = "{on_error}"\n')
    ballast = disk / "ballast"
    with Daemon(world) as daemon:
        assert daemon.shell("true").exit_code == 0
        fill(ballast)
        answers = [daemon.shell("true").last for _ in range(20)]
        assert ("error" in answers[-1]) == (on_error == "deny")
        assert "cannot be written: No space left on device" in daemon.messages()
        ballast.unlink()
        assert daemon.shell("true").exit_code == 0
        assert daemon.stop() == 0
    whole = []
    for line in world.log.read_text().splitlines():
        try:
            whole.append(json.loads(line)["event"])
        except ValueError:
            # What the full disk took of a record; it is a line of its own.
            assert line.startswith('{"ts":')
    assert whole[0] == "daemon-start"
    assert whole[-3:] == ["exec-start", "exec", "daemon-stop"]


def fill(path: Path) -> None:
    """Write until there is no room left."""
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(descriptor, bytes(4096))
    except OSError:
        os.close(descriptor)
