"""Reloading the settings of the audit log, and of the state directory."""

import os

import pytest

from commanding import reload
from running import Daemon
from worlds import World


def test_the_path_of_the_log_cannot_change(world: World) -> None:
    """It is a fault of the reload, which says what to do; other settings of the log count."""
    with Daemon(world) as daemon:
        config = world.config / "config.toml"
        text = config.read_text()
        config.write_text(text.replace(str(world.log), str(world.log) + "2"))
        said = reload(world, status=1).stderr
        assert "[log] path: cannot change while the daemon runs" in said
        assert "restart the daemon, or write path = " in said
        config.write_text(text + "max_files = 3\n")
        reload(world)
        assert daemon.shell("true").exit_code == 0


def test_the_state_directory_cannot_move(world: World) -> None:
    """Commands look there for the control socket."""
    with Daemon(world) as daemon:
        world.write_config(f'[daemon]\nstate = "{world.root}/other"\n')
        said = reload(world, status=1).stderr
        assert "[daemon] state: cannot change while the daemon runs" in said
        assert f'write state = "{world.config}/state" again' in said
        assert daemon.shell("true").exit_code == 0


@pytest.mark.skipif(not os.access("/dev/full", os.W_OK), reason="/dev/full is not for this user")
def test_what_a_full_log_refuses_may_run_after_a_reload(world: World) -> None:
    """`on_error` counts from one request to the next."""
    config = world.config / "config.toml"
    full = '[commands]\nenable = ["sh"]\n[log]\npath = "/dev/full"\n'
    config.write_text(full)
    with Daemon(world) as daemon:
        assert "cannot be written" in daemon.shell("true").error["message"]
        config.write_text(full + 'on_error = "warn"\n')
        reload(world)
        assert daemon.shell("true").exit_code == 0
