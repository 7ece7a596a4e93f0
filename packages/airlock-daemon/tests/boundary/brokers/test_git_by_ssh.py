"""What calls ssh for git by itself reaches git-remote, and no session passes by `[git]`."""

import io
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from dulwich import porcelain
from git_world import CLIENT, Remote, make_world

from running import Daemon
from worlds import ANY_REF

PROTECTED = "[git] protect forbids it"

Start = Callable[..., Remote]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a daemon with an agent that has these commands and hosts, and places of `[git]`."""
    with ExitStack() as stack:

        def start(
            *,
            commands: str = '["git-remote"]',
            hosts: str | None = None,
            place: str = "host{root}/*",
        ) -> Remote:
            world = make_world(tmp_path)
            config = world.config / "config.toml"
            text = config.read_text().replace('"git-remote"', '"git-remote", "ssh"')
            config.write_text(text)
            grant = f'[git]\npush = ["{place}"]\n{ANY_REF}protect = ["refs/heads/main"]\n'
            ssh = "" if hosts is None else f"[ssh]\nhosts = {hosts}\n"
            world.write_profile(grant.replace("{root}", str(tmp_path)) + ssh, commands=commands)
            return Remote(world, stack.enter_context(Daemon(world)))

        yield start


def install_ssh(remote: Remote) -> str:
    """A PATH on which `ssh` is what the shim is in a container."""
    folder = remote.world.root / "client"
    folder.mkdir()
    script = folder / "ssh"
    script.write_text(
        f'#!/bin/sh\nexec {sys.executable} {CLIENT} {remote.world.socket} 0 as-ssh "$@"\n'
    )
    script.chmod(0o755)
    return f"{folder}:{os.environ['PATH']}"


@pytest.mark.parametrize("streamed", [False, True])
def test_git_itself_may_call_ssh(start: Start, *, streamed: bool) -> None:
    """It gets what it gets by git-ssh, in an agent that has no ssh; the record has git-remote."""
    remote = start()
    remote.transport, remote.streamed = "as-ssh", streamed
    pushed = remote.git("push", "origin", "HEAD:agent")
    assert pushed.returncode == 0, pushed.stderr
    refused = remote.git("push", "origin", "HEAD:main")
    assert f"(airlock: {PROTECTED}" in refused.stderr
    assert remote.git("fetch", "origin").returncode == 0
    assert remote.refs() == ["refs/heads/agent"]
    records = remote.daemon.records("exec")
    assert {(each["command"], each["args"][0]) for each in records} == {("git-remote", "ssh")}


@pytest.mark.linux_only("elsewhere no descriptor is taken")
def test_git_without_its_variables_gets_there(start: Start) -> None:
    """As under `env -i`, and by a port and a family of addresses, as pre-commit has in its URLs."""
    remote = start(place="me@host:2222{root}/*")
    variables = {"PATH": install_ssh(remote), "HOME": str(remote.world.root)}
    url = f"ssh://me@host:2222{remote.repository}"
    for words, status in (
        (("push", "-4", url, "HEAD:agent"), 0),
        (("ls-remote", url), 0),
        (("push", url, "HEAD:main"), 1),
    ):
        command = ["git", *words]
        ended = subprocess.run(
            command, cwd=remote.work, env=variables, capture_output=True, text=True, check=False
        )
        assert ended.returncode == status, ended.stderr
    assert PROTECTED in ended.stderr
    assert {"-p", "2222", "me@host"} <= set(remote.notes)


@pytest.mark.linux_only("elsewhere no descriptor is taken")
def test_dulwich_gets_there(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """A git that is no git, which calls ssh in words of its own."""
    remote = start()
    monkeypatch.setenv("PATH", install_ssh(remote))
    monkeypatch.delenv("GIT_SSH_COMMAND", raising=False)
    url = f"ssh://host{remote.repository}"
    with open(os.devnull, "wb") as null:
        porcelain.push(str(remote.work), url, "refs/heads/main:refs/heads/agent", null, null)
        assert remote.refs() == ["refs/heads/agent"]
        with porcelain.clone(url, str(remote.world.root / "copy"), branch="agent") as copy:
            assert b"refs/remotes/origin/agent" in copy.get_refs()
        said = io.BytesIO()
        porcelain.push(str(remote.work), url, "refs/heads/main:refs/heads/main", null, said)
    assert PROTECTED in said.getvalue().decode()
    assert remote.refs() == ["refs/heads/agent"]


SPELLINGS = [
    "git-receive-pack '{}'",
    "git receive-pack '{}'",
    "git-receive-pack {}",
    'git-receive-pack "{}"',
    " git-receive-pack '{}'",
    "git-receive-pack  '{}'",
    "git-receive-pack '{}';",
    "/usr/bin/git receive-pack {}",
    "git-rec''eive-pack {}",
    "git-receive\\-pack {}",
    'git "receive-pack" {}',
    "true && git receive-pack {}",
    "git-shell -c \"git-receive-pack '{}'\"",
    "sh -c 'git  receive-pack {}'",
]


@pytest.mark.parametrize("command", SPELLINGS)
def test_no_session_pushes_past_what_refs_says(start: Start, command: str) -> None:
    """In an agent that has git-remote the refs are judged, or nothing is run."""
    remote = start(commands='["git-remote", "ssh"]', hosts='["host"]')
    head = remote.git("rev-parse", "HEAD").stdout.strip()
    update = f"{'0' * 40} {head} refs/heads/main\0report-status".encode()
    said = ask_ssh(remote, command, b"%04x%s0000" % (len(update) + 4, update))
    assert PROTECTED in said or "is for git-remote to judge" in said, said
    assert PROTECTED in said or remote.notes == []
    assert remote.refs() == []


@pytest.mark.parametrize("command", SPELLINGS)
def test_the_spellings_are_those_that_push(start: Start, command: str) -> None:
    """They would work: an agent that has ssh alone reaches the repository by each of them."""
    remote = start(commands='["ssh"]', hosts='["host"]')
    assert "capabilities^{}" in ask_ssh(remote, command, b"0000")


def ask_ssh(remote: Remote, command: str, said: bytes) -> str:
    """What a client's ssh prints that runs a command at the host, with `said` on its stdin."""
    line = command.replace("{}", str(remote.repository))
    words = [sys.executable, str(CLIENT), remote.world.socket, "1", "as-ssh", "host", line]
    ended = subprocess.run(words, input=said, capture_output=True, check=False)
    return (ended.stdout + ended.stderr).decode(errors="replace")


@pytest.mark.parametrize(
    ("hosts", "place", "words", "is_allowed"),
    [
        ('["host"]', "host{root}/*", ("host",), True),
        ('["h*"]', "host{root}/*", ("host",), False),
        ('["h*"]', "git@h*/x", ("host",), False),
        ('["h*"]', "git@h*/x", ("git@host",), False),
        ('["me@h*"]', "git@h*/x", ("me@host",), True),
        ('["h*"]', "git@host:2222/x", ("host",), False),
        ('["h*:2200"]', "git@host:2222/x", ("-p", "2200", "host"), True),
        ('["h*"]', "https://host/x", ("host",), True),
        ('["h*"]', "other/x", ("host",), True),
    ],
)
def test_a_host_of_git_is_no_host_of_a_session(
    start: Start, hosts: str, place: str, words: tuple[str, ...], *, is_allowed: bool
) -> None:
    """Unless `[ssh] hosts` names it by its name: who has a session there pushes as they like."""
    remote = start(commands='["git-remote", "ssh"]', hosts=hosts, place=place)
    said = str(remote.daemon.ask("ssh", *words, "true").last)
    refusals = ("[git] says what this agent may do there", "is an account of a server of git")
    assert any(each in said for each in refusals) is not is_allowed, said
