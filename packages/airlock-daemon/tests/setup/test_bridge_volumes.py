"""Tests of `airlock_daemon.setup.bridge`: the notes on the volumes of bridges."""

from pathlib import Path

from airlock_daemon.setup.bridge import BridgeVolumes
from airlock_daemon.setup.state import BRIDGES, State


def test_what_a_killed_writer_left_is_no_note(tmp_path: Path) -> None:
    """It would stop `run` of every agent."""
    volumes = BridgeVolumes(State(str(tmp_path / "state")))
    volume = volumes.make("my", "docker")
    (tmp_path / "state" / BRIDGES / ".my.ab12cd").touch()
    assert volumes.list_all() == [volume]
