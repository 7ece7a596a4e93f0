"""Tests of `airlock_daemon.platform.darwin.ssh_agent`, with a launchctl of the test's own."""

from pathlib import Path

import pytest

from airlock_daemon.platform.darwin.ssh_agent import find_agent, is_of_launchd

OF_LAUNCHD = "/private/tmp/com.apple.launchd.aB3dE5fG7h/Listeners"


@pytest.fixture
def launchctl(tmp_path: Path) -> Path:
    program = tmp_path / "launchctl"
    program.write_text(f'#!/bin/sh\n[ "$*" = "getenv SSH_AUTH_SOCK" ] && cat {tmp_path}/answer\n')
    program.chmod(0o755)
    (tmp_path / "answer").write_text(f"{OF_LAUNCHD}\n")
    return program


@pytest.mark.parametrize(
    ("path", "is_its"),
    [
        (OF_LAUNCHD, True),
        ("/var/run/com.apple.launchd.x/Listeners", True),
        ("/Users/me/.1password/agent.sock", False),
        ("/tmp/ssh-XXXX/agent.7", False),
    ],
)
def test_the_sessions_own_agent_is_known_by_its_name(path: str, is_its: bool) -> None:
    """A person's own agent stays as it was given."""
    assert is_of_launchd(path) == is_its


def test_the_sessions_agent_is_asked_for_each_time(launchctl: Path, tmp_path: Path) -> None:
    """What the daemon was started with is that of a former login."""
    stored = {"SSH_AUTH_SOCK": "/private/tmp/com.apple.launchd.old/Listeners"}
    assert find_agent(stored, launchctl=str(launchctl)) == OF_LAUNCHD
    (tmp_path / "answer").write_text("/private/tmp/com.apple.launchd.new/Listeners\n")
    found = find_agent(stored, launchctl=str(launchctl))
    assert found == "/private/tmp/com.apple.launchd.new/Listeners"


def test_a_persons_own_agent_comes_first(launchctl: Path) -> None:
    """It is no business of launchd's."""
    own = {"SSH_AUTH_SOCK": "/Users/me/agent.sock"}
    assert find_agent(own, launchctl=str(launchctl)) == "/Users/me/agent.sock"


def test_without_an_agent_there_is_none(launchctl: Path, tmp_path: Path) -> None:
    """Nor without launchctl."""
    (tmp_path / "answer").write_text("")
    assert find_agent({}, launchctl=str(launchctl)) is None
    assert find_agent({}, launchctl=str(tmp_path / "missing")) is None
