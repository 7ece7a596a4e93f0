"""Tests of `admin.service`: the files, and what becomes of them. systemd itself: e2e."""

import os
import plistlib
import pwd
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from airlock_daemon.admin.cli.application import Application
from airlock_daemon.admin.cli.next_steps import choose_run
from airlock_daemon.admin.service.launchd import Launchd
from airlock_daemon.admin.service.manager import (
    Program,
    compare,
    install,
    seal,
    start_installed,
    uninstall,
)
from airlock_daemon.admin.service.systemd import Systemd
from airlock_daemon.errors import AirlockError

PROGRAM = Program(
    words=("/opt/air lock/airlock-daemon",),
    options=("--agents", '/home/me/100%/$a "b"\\c'),
    environment={"PATH": "/usr/bin:/50%", "SSH_AUTH_SOCK": "/run/$USER/agent"},
)


def unit(program: Program = PROGRAM) -> list[str]:
    systemd = Systemd(home="/home/me", environment={}, version="1.2.3")
    return systemd.write(program).splitlines()


def test_words_of_the_unit_mean_what_they_are() -> None:
    """Blanks, quotes, backslashes, specifiers and variables, each as systemd.syntax(7) has them."""
    lines = unit()
    options = '"--agents" "/home/me/100%%/$$a \\"b\\"\\\\c"'
    assert f'ExecStart="/opt/air lock/airlock-daemon" "start" {options}' in lines
    assert f'ExecReload="/opt/air lock/airlock-daemon" "reload" {options}' in lines
    assert 'Environment="PATH=/usr/bin:/50%%"' in lines
    assert 'Environment="SSH_AUTH_SOCK=/run/$USER/agent"' in lines


def test_the_service_has_what_its_caller_has(monkeypatch: pytest.MonkeyPatch) -> None:
    """PATH without what is relative, the agent if there is one, and the options."""
    monkeypatch.setattr(sys, "argv", ["/nowhere/airlock-daemon"])
    caller = {"PATH": "/usr/bin::bin:/bin", "SSH_AUTH_SOCK": "/run/agent", "OTHER": "x"}
    program = Program.describe("--agents", "/a", environment=caller)
    assert program.environment == {"PATH": "/usr/bin:/bin", "SSH_AUTH_SOCK": "/run/agent"}
    own = (sys.executable, "-P", "-m", "airlock_daemon")
    assert program.argv == (*own, "start", "--agents", "/a")
    assert "SSH_AUTH_SOCK" not in Program.describe(environment={}).environment


def test_it_imports_nothing_from_where_it_is_called(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Which may be a workspace, as for the words that other commands print."""
    (tmp_path / "typer.py").write_text("raise SystemExit('what an agent has written runs')")
    monkeypatch.setattr(sys, "argv", ["/nowhere/airlock-daemon"])
    monkeypatch.setenv("PATH", "/nowhere")
    *printed, _run, _agent = choose_run(Application(), "my")
    for words in (Program.find_self(), printed):
        done = subprocess.run([*words, "--version"], cwd=tmp_path, capture_output=True, check=True)
        assert done.stdout.startswith(b"airlock-daemon ")


def test_a_word_that_would_be_another_line_is_refused() -> None:
    """A unit is made of lines."""
    with pytest.raises(AirlockError, match="cannot be written"):
        Program.describe("--agents", "/a\nExecStartPost=/bin/evil", environment={})


def test_an_edited_file_is_known() -> None:
    """By a hash of all of it: above the line that has it, in that line, and below it."""
    sealed = seal("a\nb\n", opening="#")
    assert compare(None, sealed) == "absent"
    assert compare(sealed, sealed) == "current"
    assert compare(sealed, seal("newer\n", opening="#")) == "outdated"
    for edited in (sealed.replace("b", "c"), f"{sealed}c\n", sealed.replace("256 ", "256 0")):
        assert compare(edited, "x") in ("edited", "foreign")
    assert compare(f"{sealed}c\n", "x") == "edited"
    assert compare("by hand\n", sealed) == "foreign"


def test_a_user_lingers_where_systemd_says_so(tmp_path: Path) -> None:
    """By a file of the user's name."""
    systemd = Systemd(home="/home/me", environment={}, version="1.2.3")
    limit = systemd.find_session_limit(str(tmp_path))
    assert limit is not None
    user = pwd.getpwuid(os.geteuid()).pw_name
    assert limit.remedy == f"loginctl enable-linger {user}"
    folder = tmp_path / "var" / "lib" / "systemd" / "linger"
    folder.mkdir(parents=True)
    (folder / user).touch()
    assert systemd.find_session_limit(str(tmp_path)) is None


def launchd(home: Path) -> Launchd:
    return Launchd(home=str(home), user=501, version="1.2.3")


def test_the_property_list_is_one() -> None:
    """With the program as it is; after a crash it is started again, after an exit it is not."""
    described = plistlib.loads(launchd(Path("/Users/me")).write(PROGRAM).encode())
    assert tuple(described["ProgramArguments"]) == PROGRAM.argv
    assert described["EnvironmentVariables"] == PROGRAM.environment
    assert described["RunAtLoad"] is True
    assert described["KeepAlive"] == {"Crashed": True}


def test_the_property_list_is_one_for_others_too(tmp_path: Path) -> None:
    """Comments at its end are no part of it."""
    program = shutil.which("plistutil")
    if program is None:
        pytest.skip("there is no plistutil (Debian: libplist-utils)")
    file = tmp_path / "airlock.plist"
    file.write_text(launchd(tmp_path).write(PROGRAM))
    subprocess.run((program, "-i", str(file), "-o", str(tmp_path / "binary")), check=True)


LAUNCHCTL = """#!/bin/sh
echo "$*" >> "$0.called"
case $1 in
print) case $2 in */*/*) [ -e "$0.loaded" ] && echo "state = running" ;; esac ;;
bootstrap) touch "$0.loaded" ;;
bootout) rm "$0.loaded" ;;
esac
"""


@pytest.fixture
def called(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What was asked of a launchctl that stands in for that of macOS, which no machine here has."""
    program = tmp_path / "bin" / "launchctl"
    program.parent.mkdir()
    program.write_text(LAUNCHCTL)
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
    return program.with_name("launchctl.called")


def steps(called: Path) -> list[str]:
    said = called.read_text().splitlines()
    called.unlink()
    return [line for line in said if not line.startswith("print")]


def test_a_launch_agent_is_loaded_renewed_and_removed(tmp_path: Path, called: Path) -> None:
    """Each of it twice is as once; a newer property list takes the place of what is loaded."""
    manager = launchd(tmp_path)
    loaded = f"bootstrap gui/501 {manager.file}"
    out = "bootout gui/501/airlock.daemon"
    assert list(install(manager, PROGRAM, obstacle=None))[-1] == "the service was started"
    assert steps(called) == [loaded]
    assert stat.S_IMODE(Path(manager.file).stat().st_mode) & 0o022 == 0
    assert list(install(manager, PROGRAM, obstacle=None))[-1] == "the service runs already"
    assert steps(called) == []
    newer = Program(words=PROGRAM.words, options=PROGRAM.options, environment={})
    assert list(install(manager, newer, obstacle=None))[-1] == "the service was restarted"
    assert steps(called) == [out, loaded]
    assert list(uninstall(manager))[-1] == f"removed {manager.file}"
    assert steps(called) == [out]
    assert not Path(manager.file).exists()
    assert list(uninstall(manager)) == [f"no service is installed: there is no {manager.file}"]
    assert not called.exists()


def test_with_faults_it_is_installed_and_not_started(tmp_path: Path, called: Path) -> None:
    """It starts with the next session, when they are mended."""
    said = list(install(launchd(tmp_path), PROGRAM, obstacle="there are faults"))
    assert said[-1] == "the service was not started, since there are faults"
    assert steps(called) == []


def test_the_service_is_started_for_the_registration_that_it_serves(
    tmp_path: Path, called: Path
) -> None:
    """And for no other one."""
    manager = launchd(tmp_path)
    _, registration = PROGRAM.options
    assert not start_installed(manager, registration)
    list(install(manager, PROGRAM, obstacle="there are faults"))
    assert not start_installed(manager, f"{registration}/other")
    assert start_installed(manager, registration)
    assert steps(called) == [f"bootstrap gui/501 {manager.file}"]
    systemd = Systemd(home=str(tmp_path), environment={}, version="1.2.3")
    assert systemd.names(systemd.write(PROGRAM), registration)
    assert not systemd.names(systemd.write(PROGRAM), "/home/me/100%")
