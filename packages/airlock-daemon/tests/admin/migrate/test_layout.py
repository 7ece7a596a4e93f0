"""Tests of `airlock_daemon.admin.migrate.layout`: which release the files are of."""

from pathlib import Path

import pytest

from airlock_daemon.admin.migrate.layout import ReleasedUnit, read_unit
from airlock_daemon.admin.service import read_foreign_unit
from airlock_daemon.admin.service.manager import Program
from airlock_daemon.admin.service.systemd import Systemd

HOME = "/home/me"


def read(*lines: str) -> ReleasedUnit | None:
    return read_unit("\n".join(("[Service]", *lines, "Restart=always")), home=HOME)


@pytest.mark.parametrize(
    "start",
    [
        "/home/me/.local/bin/airlock-daemon start",
        "%h/.local/bin/airlock-daemon start",
        '"/home/my self/airlock-daemon" "start"',
        "-/usr/bin/airlock-daemon start",
    ],
)
def test_the_service_of_any_release_is_known_by_its_program(start: str) -> None:
    """Wherever that was installed; it starts in the home."""
    assert read(f"ExecStart={start}") == ReleasedUnit(directory=HOME)


@pytest.mark.parametrize(
    "line",
    [
        "ExecStart=/usr/bin/sshd -D",
        "ExecStart=/usr/bin/airlock-daemon check",
        "ExecStart=/usr/bin/airlock-daemon",
        'ExecStart="/usr/bin/airlock-daemon start',
        "# ExecStart=/usr/bin/airlock-daemon start",
        "",
    ],
)
def test_what_starts_no_daemon_is_none(line: str) -> None:
    """Nor is a line that cannot be read."""
    assert read(line) is None


def test_the_service_of_this_release_is_none_of_an_earlier_one(tmp_path: Path) -> None:
    """Edited or not."""
    program = Program(words=("/usr/bin/airlock-daemon",), options=(), environment={})
    manager = Systemd(home=str(tmp_path), environment={}, version="1")
    file = Path(manager.file)
    file.parent.mkdir(parents=True)
    text = manager.write(program)
    for written in (text, text.replace("Restart=", "RestartSec=1\nRestart=")):
        file.write_text(written)
        assert read_foreign_unit(str(tmp_path)) is None
    file.write_text("[Service]\n")
    assert read_foreign_unit(str(tmp_path)) == "[Service]\n"


def test_options_that_a_person_added_are_read_from_the_directory_of_the_daemon() -> None:
    """That of the last ExecStart, which counts; `%h` and continued lines are as systemd reads."""
    unit = read(
        "ExecStart=/usr/bin/airlock-daemon start",
        "ExecStart=",
        "ExecStart=/usr/bin/airlock-daemon start \\",
        "  --agents agents/a.toml --config=%h/c --sockets /run/s",
    )
    assert unit == ReleasedUnit(
        directory=HOME, agents="/home/me/agents/a.toml", config="/home/me/c", sockets="/run/s"
    )
    moved = read("ExecStart=/bin/airlock-daemon start --agents a", "WorkingDirectory=/srv")
    assert moved == ReleasedUnit(directory="/srv", agents="/srv/a")
    at_home = read("ExecStart=/bin/airlock-daemon start --agents a", "WorkingDirectory=~")
    assert at_home == ReleasedUnit(directory=HOME, agents="/home/me/a")
