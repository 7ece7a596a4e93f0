"""The commands that v0.4 documents, word for word, each with what it says."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from airlock_daemon._version import __version__
from commanding import airlock_daemon
from worlds import BOX_USER

PROGRAM = (sys.executable, "-m", "airlock_daemon")


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home with an agent that may use git, and nothing of Airlock's own yet."""
    if os.path.isdir("/run/systemd/system"):
        pytest.skip("this machine was started by systemd, and `init` would use it")
    home = tmp_path / "home"
    (home / "my-agent").mkdir(parents=True)
    (home / "my-agent" / "airlock.toml").write_text('commands = ["git"]\n')
    (home / "agents.toml").write_text(f'[my-agent]\npath = "{home}/my-agent"\n')
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("PATH", os.defpath)
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.chdir(home)
    return home


def serve(*words: str, until: str) -> list[str]:
    """Run `airlock start` until it has said a line, and stop it; all that it has said."""
    process = subprocess.Popen((*PROGRAM, *words), stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    lines = []
    with process.stderr:
        for line in process.stderr:
            lines.append(line.removesuffix("\n"))
            if until in line:
                process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0, lines
    return lines


def test_each_works_as_it_is_written_there(home: Path) -> None:
    """On a new home: first `init`, then the line that it asks for, then each of the others."""
    config = home / ".config" / "airlock"

    said = airlock_daemon("init").stdout
    assert f"made {config}/config.toml\n" in said
    assert "hint: without a service, keep this running: " in said

    boxes = f'[sandbox]\nuser = "{BOX_USER}"\n' if os.geteuid() == 0 else ""
    (config / "config.toml").write_text(f'[commands]\nenable = ["git", "terraform"]\n{boxes}')
    (config / "agents.toml").write_text((home / "agents.toml").read_text())
    socket = config / "sockets" / "my-agent" / "airlock.sock"
    serving = f"airlock: agent my-agent: {socket}"

    agents = config / "agents.toml"
    lines = serve("start", until="no agents registered")
    assert lines == [
        "airlock: enabled commands: git, terraform",
        f"airlock: warning: no agents registered; to serve those of {agents}: --agents {agents}",
        "airlock: ready",
        "airlock: stopping: 0 running, 10 s to end",
    ]
    for words in (
        ("start", "--agents", "agents.toml"),
        (
            *("start", "--config", str(config), "--sockets", str(config / "sockets")),
            *("--agents", "agents.toml"),
        ),
    ):
        lines = serve(*words, until="agent my-agent")
        assert serving in lines
        assert "airlock: enabled commands: git, terraform" in lines

    (config / "config.toml").write_text(f'[commands]\nenable = ["git", "dig"]\n{boxes}')
    said = airlock_daemon("check", status=1).stdout
    assert '"dig" has no module' in said
    (config / "config.toml").write_text(f'[commands]\nenable = ["git"]\n{boxes}')
    said = airlock_daemon("check").stdout
    assert said.startswith("note: remotes: ")
    assert said.endswith("\ngood, with 3 notes; agents: my-agent\n")

    said = airlock_daemon("doctor", status=1).stdout
    assert f"finding: daemon: {config}/sockets: no daemon serves" in said

    said = airlock_daemon("test", "my-agent", "git", "push").stdout
    assert "allowed" in said

    assert airlock_daemon("version").stdout.splitlines()[0] == f"airlock-daemon {__version__}"

    said = airlock_daemon("show", "git").stdout
    assert '[command]\nbin = "git"\n' in said

    done = airlock_daemon("profile", "list")
    assert done.stdout == f"my-agent\t{socket}\t{home}/my-agent\n"

    said = airlock_daemon("profile", "show", "my-agent").stdout
    assert said.startswith('commands = ["git"]\n')

    said = airlock_daemon("init", "--uninstall").stdout
    assert said.startswith("no service is installed: ")
    assert (config / "config.toml").exists()
