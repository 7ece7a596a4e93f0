"""Tests of `airlock_daemon.admin.migrate.layout`: which release the files are of."""

import pytest

from airlock_daemon.admin.migrate.layout import Layout, ReleasedUnit, Signs, read_unit, recognise
from airlock_daemon.admin.service.manager import Program
from airlock_daemon.admin.service.systemd import Systemd

FIRST = frozenset({"commands", "hooks"})
SECOND = FIRST | {"profiles", "sockets"}
STARTER = '# [commands]\n# enable = ["git"]\n'
ENABLED = '[commands]\nenable = ["git"]\n'
UNIT = ReleasedUnit(directory="/home/me")


@pytest.mark.parametrize(
    ("signs", "layout"),
    [
        (Signs(), "none"),
        (Signs(others=("settings.json",)), "unknown"),
        (Signs(folders=frozenset({"modules"})), "unknown"),
        # What init of each release leaves, with and without its service.
        (Signs(folders=FIRST), "v0.1"),
        (Signs(folders=FIRST, unit=UNIT), "v0.1"),
        (Signs(folders=FIRST, config="[log]\nmax_files = 3\n"), "v0.1"),
        (Signs(folders=frozenset({"commands"})), "v0.1"),
        (Signs(folders=SECOND, is_open=True), "v0.2"),
        (Signs(folders=SECOND, is_open=True, config=STARTER), "v0.3"),
        (Signs(folders=frozenset({"sockets"}), is_open=True, config=STARTER), "v0.4"),
        (Signs(folders=frozenset({"sockets"}), config=STARTER, unit=UNIT), "v0.4"),
        (Signs(unit=UNIT, config=ENABLED), "v0.4"),
        # A service alone has nothing that could be carried over.
        (Signs(unit=UNIT), "none"),
        # What a person has made of it.
        (Signs(folders=SECOND, profiles=("web",), sockets=("web",), is_open=True), "v0.2"),
        (Signs(folders=SECOND, profiles=("web",), config="[log]\n"), "v0.2"),
        (Signs(folders=SECOND, profiles=("web",), config=ENABLED), "v0.3"),
        (Signs(folders=SECOND, profiles=("web",), config="= no TOML, but # enable\n"), "v0.2"),
        (Signs(has_registration=True, config=ENABLED, unit=UNIT), "v0.4"),
        (Signs(has_registration=True, config=ENABLED, sockets=("a",), is_open=True), "v0.4"),
        # A host that went through several: the last one that could serve it counts.
        (Signs(folders=FIRST | {"sockets"}, config=STARTER), "v0.1"),
        (Signs(folders=SECOND, profiles=("web",), has_registration=True, unit=UNIT), "v0.4"),
        # This release's own.
        (Signs(folders=frozenset({"sockets"}), config=STARTER), "ours"),
        (Signs(folders=frozenset({"sockets"}), is_open=True), "ours"),
        (Signs(config=ENABLED), "ours"),
        (Signs(has_registration=True, config=ENABLED, is_open=True), "ours"),
        (Signs(has_registration=True, sockets=("a",), is_known=True, is_open=True), "ours"),
        (Signs(has_registration=True, sockets=("a",)), "ours"),
        (Signs(folders=SECOND, profiles=("web",), has_registration=True), "ours"),
        (Signs(folders=SECOND, profiles=("web",), is_known=True, config=ENABLED), "ours"),
        (Signs(folders=frozenset({"hooks"}), config=ENABLED), "ours"),
        # A migration that was begun, whatever else there is by then.
        (Signs(has_registration=True, config=ENABLED, unfinished="v0.2"), "v0.2"),
    ],
)
def test_a_layout_is_told_by_what_is_there(signs: Signs, layout: Layout) -> None:
    """And by nothing else."""
    assert recognise(signs) == layout


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


def test_the_service_of_this_release_is_none_of_an_earlier_one() -> None:
    """Edited or not."""
    program = Program(words=("/usr/bin/airlock-daemon",), options=(), environment={})
    text = Systemd(home=HOME, environment={}, version="1").write(program)
    assert read_unit(text, home=HOME) is None
    assert read_unit(text.replace("Restart=", "RestartSec=1\nRestart="), home=HOME) is None


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


def test_lines_of_a_person_are_named_without_what_is_in_them() -> None:
    """Variables may be secrets; those that every service has are not among them."""
    unit = read(
        "ExecStart=/bin/airlock-daemon start",
        'Environment=PATH=/bin "TOKEN=very secret" B=1',
        "EnvironmentFile=/etc/airlock.env",
        "ExecStartPre=/bin/true",
    )
    assert unit is not None
    assert unit.own == ("Environment=TOKEN=", "Environment=B=", "EnvironmentFile=", "ExecStartPre=")


def test_each_line_that_no_release_wrote_is_named() -> None:
    """Whatever it is; what releases wrote is not, unless a person gave it another value."""
    unit = read(
        "# Nice=1",
        "ExecStart=/bin/airlock-daemon start",
        "Restart=always",
        "RestartSec=5",
        "After=network.target",
        "Nice=5",
        "MemoryMax=1G",
        "X-Mine=1",
        "Wants=ssh-agent.service",
    )
    assert unit is not None
    assert unit.own == ("Nice=", "MemoryMax=", "X-Mine=", "Wants=")
    other = read(
        "ExecStart=/bin/airlock-daemon start", "Restart=no", "RestartSec=60", "After=a.mount"
    )
    assert other is not None
    assert other.own == ("Restart=", "RestartSec=", "After=")
