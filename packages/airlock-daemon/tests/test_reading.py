"""Tests of `airlock_daemon.files`: the text of a file that a person wrote."""

from pathlib import Path

import pytest

from airlock_daemon.files import read_text
from airlock_modules import Fault
from worlds import World


@pytest.mark.parametrize("mark", ["", "\ufeff"])
def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path: Path, mark: str) -> None:
    """Editors of Windows write one."""
    (tmp_path / "x").write_text(mark + "é = 1\n", encoding="utf-8")
    faults: list[Fault] = []
    assert read_text(str(tmp_path / "x"), faults=faults, remedy="") == "é = 1\n"
    assert faults == []


def test_every_file_of_a_configuration_may_begin_with_one(world: World) -> None:
    """All four kinds are read alike."""
    files = [world.config / "config.toml", world.agents_file, world.agent / "airlock.toml"]
    for path in (*files, world.agent / "commands" / "sh.toml"):
        path.write_text("\ufeff" + path.read_text())
    assert world.load().generations["my"].agent.modules.own["sh"].bin == "/bin/sh"


def test_what_cannot_be_read_is_a_fault(tmp_path: Path) -> None:
    """A file that is not there, that is another kind, or that is no UTF-8."""
    (tmp_path / "latin").write_bytes(b"\xe9 = 1")
    faults: list[Fault] = []
    for name in ("missing", "", "latin"):
        assert read_text(str(tmp_path / name), faults=faults, remedy="make it") is None
    problems = [(fault.problem.partition(":")[0], fault.remedy) for fault in faults]
    assert problems == [
        ("there is no such file", "make it"),
        ("cannot be read", "make it a readable UTF-8 file"),
        ("cannot be read", "make it a readable UTF-8 file"),
    ]
