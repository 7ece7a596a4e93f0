"""`airlock init` where there is no service manager. With systemd: e2e/journeys."""

import json
import os
from pathlib import Path

import pytest

from commanding import airlock_daemon

CONFIG = ".config/airlock/config.toml"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty home, without an ssh-agent."""
    if os.path.isdir("/run/systemd/system"):
        pytest.skip("this machine was started by systemd")
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    return home


def test_the_files_are_made_and_the_line_to_keep_running_is_told(home: Path) -> None:
    """Private to the user; a second time nothing is made, and what is there is not touched."""
    said = airlock_daemon("init").stdout
    assert f"made {home}/{CONFIG}\n" in said
    assert "fault:" not in said
    assert "no service was installed: this system was not started by systemd\n" in said
    line = f"start --agents {home}/.config/airlock/agents.toml\n"
    assert line in said.partition("hint: without a service, keep this running: ")[2]
    assert (home / ".config/airlock/sockets").stat().st_mode & 0o777 == 0o700
    (home / CONFIG).write_text("# mine\n")
    again = json.loads(airlock_daemon("init", "--json").stdout)["done"]
    assert f"{home}/{CONFIG} is there already" in again
    assert (home / CONFIG).read_text() == "# mine\n"


def test_an_agent_can_be_added_to_what_was_made(home: Path) -> None:
    """The starter's comments stay, and afterwards there is no fault."""
    airlock_daemon("init")
    airlock_daemon("agent", "add", "my", "--command", "git", "--yes")
    assert '# enable = ["git-remote", "terraform"]\n' in (home / CONFIG).read_text()
    said = airlock_daemon("init").stdout
    assert "fault:" not in said
    assert "agent add" not in said


def test_an_ssh_agent_of_the_session_is_warned_of(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not there after the next login."""
    monkeypatch.setenv("SSH_AUTH_SOCK", "/tmp/ssh-abc/agent.1")
    assert "warning: /tmp/ssh-abc/agent.1 ends with your session" in airlock_daemon("init").stdout


def test_nothing_is_uninstalled_where_nothing_is_installed(home: Path) -> None:
    """And everything stays."""
    airlock_daemon("init")
    said = airlock_daemon("init", "--uninstall").stdout
    assert said.startswith("no service is installed: ")
    assert (home / CONFIG).exists()
