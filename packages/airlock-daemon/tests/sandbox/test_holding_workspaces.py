"""What containers write and mount, beside the files that a box with credentials is given."""

import os
from pathlib import Path

import shared_fixtures
from boxing import needs_bubblewrap
from holding import hold, refusal, run, serve
from mounting import container
from worlds import World

pytestmark = needs_bubblewrap

home = shared_fixtures.home
world = shared_fixtures.mapped


def test_nothing_is_read_by_way_of_a_workspace(world: World, home: Path) -> None:
    """A link there would have the client choose what the box holds."""
    (world.workspace / "link").symlink_to(home / ".other")
    (home / "link").symlink_to(world.workspace / "link")
    (home / "inside").symlink_to(world.workspace)
    for path in ("~/link", "~/inside/link", str(world.workspace / "link"), "~/inside/file"):
        (world.workspace / "file").write_text("of the client")
        hold(world, f'files."~/a" = "{path}"')
        with serve(world, home) as daemon:
            rule, message = refusal(daemon)
        assert rule == "credential"
        assert "leads through a workspace" in message


def test_nothing_is_read_by_way_of_what_another_agents_container_has_mounted(
    world: World, home: Path, tmp_path: Path
) -> None:
    """Though no profile names it, and that container has never asked for anything."""
    (tmp_path / "link").symlink_to(home / ".other")
    (home / "link").symlink_to(tmp_path / "link")
    hold(world, 'files."~/a" = "~/link"')
    with serve(world, home) as daemon:
        assert run(daemon, "cat ~/a") == "of another tool"
        own = ("--bind", os.path.join(world.locations.sockets_dir, "my"), "/run/airlock")
        with container(*own, "--bind", str(tmp_path), "/work"):
            rule, message = refusal(daemon)
        assert run(daemon, "cat ~/a") == "of another tool"
    assert rule == "credential"
    assert "leads through a workspace" in message


def test_a_workspace_where_a_credential_would_be_is_refused(world: World, home: Path) -> None:
    """Else it would be written into the workspace, or covered by what the client has there."""
    hold(world, 'files."~/.tool/config" = "~/.tool/config"')
    for target in ("/home/airlock/.tool", "/home/airlock/.tool/config/x"):
        world.write_profile(f'[workspace]\nmounts = {{ "{target}" = "{world.workspace}" }}\n')
        with serve(world, home) as daemon:
            error = daemon.shell("true", cwd=target).error
        assert (error["data"]["layer"], error["data"]["rule"]) == ("sandbox", "place")
    assert list(world.workspace.iterdir()) == []
