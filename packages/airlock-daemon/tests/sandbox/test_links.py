"""`[sandbox] links = false`: no link that a client wrote leads its tool anywhere."""

from collections.abc import Iterator

import pytest

from boxing import boxed_world, needs_bubblewrap
from running import Daemon
from worlds import World

MAPPED = '[workspace]\nmounts = {{ "/workspace" = "{workspace}", "/data" = "{data}" }}\n'
LOOK = """
for name in file link other up/file here /data/link /tmp/own; do
  cat $name >/dev/null 2>&1 && echo "$name is read"
done
readlink link
"""


@pytest.fixture
def written() -> Iterator[World]:
    """A world whose client has written links, also into another directory."""
    with boxed_world("links = false\n") as world:
        data = world.root / "data"
        data.mkdir()
        data.chmod(0o755)
        for folder in (world.workspace, data):
            (folder / "file").write_text("written by the client\n")
            (folder / "link").symlink_to("/etc/passwd")
        (world.workspace / "other").symlink_to("file")
        (world.workspace / "up").symlink_to("../workspace")
        (world.workspace / "here").symlink_to("/proc/self/environ")
        world.write_profile(MAPPED.format(workspace=world.workspace, data=data))
        yield world


def look(world: World) -> list[str]:
    """What a command in a box reads, with a link of the box's own."""
    with Daemon(world) as daemon:
        script = f"ln -s /etc/passwd /tmp/own; {LOOK}"
        return daemon.shell(script, cwd="/workspace").text().splitlines()


@needs_bubblewrap
def test_no_link_of_the_workspace_is_followed(written: World) -> None:
    """Neither to the box's own places nor within the workspace; that it is there can be seen."""
    assert look(written) == ["file is read", "/tmp/own is read", "/etc/passwd"]


@needs_bubblewrap
def test_links_are_followed_where_the_module_does_not_say_so(written: World) -> None:
    """As everywhere else."""
    module = written.agent / "commands" / "sh.toml"
    module.write_text(module.read_text().replace("links = false\n", ""))
    names = ("file", "link", "other", "up/file", "here", "/data/link", "/tmp/own")
    assert look(written) == [*(f"{name} is read" for name in names), "/etc/passwd"]


def test_behind_landlock_such_a_command_is_refused(written: World) -> None:
    """It has no mounts of its own there."""
    config = written.config / "config.toml"
    config.write_text(config.read_text().replace('mode = "auto"', 'mode = "landlock"'))
    written.write_profile(
        f'[workspace]\nmounts = {{ "{written.workspace}" = "{written.workspace}" }}\n'
    )
    with Daemon(written) as daemon:
        answer = daemon.shell("true", cwd=str(written.workspace))
    assert answer.error is not None
    assert "links = false" in answer.error["message"]
