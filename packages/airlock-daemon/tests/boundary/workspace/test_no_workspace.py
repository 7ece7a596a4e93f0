"""A command whose module says `workspace = "none"` sees nothing that its client wrote."""

import pytest

from boxing import CLOSED, boxed_world, needs_bubblewrap, write_boxes
from running import Daemon

NONE = '[exec]\nworkspace = "none"\n'
LOOK = "pwd; ls -A; cat {workspace}/file /workspace/file"
MAPPED = '[workspace]\nmounts = {{ "/workspace" = "{workspace}" }}\n'


@needs_bubblewrap
@pytest.mark.parametrize("says", ["", NONE])
def test_a_box_has_no_workspace_of_a_command_that_wants_none(says: str) -> None:
    """Whatever is mapped; another command has it in its box."""
    with boxed_world() as world:
        world.write_profile(MAPPED.format(workspace=world.workspace))
        (world.workspace / "file").write_text("written by the client\n")
        world.write_module("sh", "/bin/sh", f"{CLOSED}{says}")
        with Daemon(world) as daemon:
            answer = daemon.shell(LOOK.format(workspace=world.workspace), cwd="/workspace")
            record = daemon.records()[-1]
    assert record["sandbox"] == "bubblewrap"
    if says:
        assert answer.text() == "/no-workspace\n"
    else:
        assert "written by the client\n" in answer.text()


def test_a_command_without_a_box_starts_in_an_empty_directory() -> None:
    """It is not the client's; more than that a command without a box is not kept from."""
    with boxed_world() as world:
        write_boxes(world)
        (world.workspace / "file").write_text("written by the client\n")
        world.write_module("sh", "/bin/sh", f"[deny]\nargs = []\n{NONE}")
        with Daemon(world) as daemon:
            answer = daemon.shell("ls -A; pwd")
    assert answer.text().strip() not in ("", str(world.workspace))
    assert "file" not in answer.text()


def test_what_such_a_command_writes_there_would_be_lost_and_so_cannot_be_written() -> None:
    """Its owner may not write there either, which only root can pass over."""
    with boxed_world() as world:
        write_boxes(world)
        world.write_module("sh", "/bin/sh", '[deny]\nargs = []\n[sandbox]\nbox = "none"\n')
        world.write_profile("[workspace]\nhost = false\n")
        with Daemon(world) as daemon:
            answer = daemon.shell("stat -c %a .", cwd="/somewhere/else")
    assert answer.text() == "500\n"
