"""Commands in a closed box, by a running daemon: what they are, see, and leave behind."""

from collections.abc import Iterator

import pytest

from boxing import box_uid, boxed_world, needs_bubblewrap
from running import Daemon
from worlds import World

pytestmark = needs_bubblewrap


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """A world whose commands have boxes; this process stands in its workspace."""
    with boxed_world() as world:
        monkeypatch.chdir(world.workspace)
        yield world


def test_a_command_runs_in_the_workspace_and_its_files_stay(world: World) -> None:
    """It has the client's path, its output and status come back, and its record names the box."""
    with Daemon(world) as daemon:
        answer = daemon.shell("pwd; id -u; echo kept > file; echo err >&2; exit 3")
        record = daemon.records()[-1]
    assert answer.text().split() == [str(world.workspace), str(box_uid())]
    assert (answer.text("stderr"), answer.exit_code) == ("err\n", 3)
    assert (world.workspace / "file").read_text() == "kept\n"
    assert record["sandbox"] == "bubblewrap"
