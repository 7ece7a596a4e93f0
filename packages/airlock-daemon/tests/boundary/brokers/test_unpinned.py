"""Where an agent may go whose profile does not name the host."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from git_world import KNOWS_COMMANDS, Remote, make_world

from running import Daemon

KEY = "AAAAC3NzaC1lZDI1NTE5AAAAIKh3Hq1mC5b0uQ0Sx0m9bXl3W8y7vQmU0oQ5c8mJt2aB"
# A public address, which nothing here connects with.
PUBLIC = "1.1.1.1"

# What is said of the name of a host does not hold for its address.
MATCHING = "Match host 1.1.1.1 originalhost name\n User me\nHost name\n HostName 1.1.1.1\n"

Start = Callable[..., Remote]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Start a daemon whose human has this ssh configuration and these known hosts."""
    with ExitStack() as stack:

        def start(*, config: str = "", known: str = "", profile: str = "") -> Remote:
            world = make_world(tmp_path)
            hosts, file = tmp_path / "known_hosts", tmp_path / "ssh_config"
            hosts.write_text(known)
            file.write_text(f"{config}\nHost *\n UserKnownHostsFile {hosts}\n")
            ssh = f'[env]\nset = {{ GIT_SSH_COMMAND = "ssh -F {file}" }}\n'
            world.write_profile(profile + ssh, commands='["git-remote"]')
            return Remote(world, stack.enter_context(Daemon(world)))

        yield start


def test_a_known_host_is_reached_by_the_address_that_was_looked_at(start: Start) -> None:
    """ssh gets the address, and the name for what known_hosts has; the record says unpinned."""
    remote = start(known=f"{PUBLIC} ssh-ed25519 {KEY}\n")
    listed = remote.git("ls-remote", f"ssh://git@{PUBLIC}{remote.repository}")
    assert listed.returncode == 0, listed.stderr
    assert {f"-oHostName={PUBLIC}", f"-oHostKeyAlias={PUBLIC}"} <= set(remote.notes)
    (record,) = remote.daemon.records("broker")
    assert record["detail"]["unpinned"] is True
    assert "agent my is unpinned" in remote.daemon.messages()


@pytest.mark.parametrize(
    ("host", "config", "known", "why"),
    [
        ("1.1.1.1", "", "", "is no host that known_hosts has by its own name"),
        (
            "1.1.1.1",
            "",
            f"1.1.1.1 ssh-ed25519 {KEY}\n@revoked 1.1.1.1 ssh-ed25519 {KEY}",
            "is no host that known_hosts has",
        ),
        ("0x7f000001", "", f"127.0.0.1 ssh-ed25519 {KEY}", "has an address of this host"),
        ("::1", "", f"::1 ssh-ed25519 {KEY}", "has an address of this host"),
        ("forge", "Host forge\n HostName 10.1.2.3\n", f"10.1.2.3 ssh-ed25519 {KEY}", "public"),
        ("1.1.1.1", "Host 1.*\n ProxyJump jump\n", f"1.1.1.1 ssh-ed25519 {KEY}", "jump host"),
        ("1.1.1.1", "Host 1.*\n ProxyCommand nc %h\n", f"1.1.1.1 ssh-ed25519 {KEY}", "a proxy"),
        ("forge", "Host forge\n HostName 1.1.1.1\n", f"1.1.1.1 ssh-ed25519 {KEY}", None),
        ("name", MATCHING, f"1.1.1.1 ssh-ed25519 {KEY}", "is configured by its address"),
    ],
)
def test_another_host_needs_naming(
    start: Start, host: str, config: str, known: str, why: str | None
) -> None:
    """Unknown ones, those around this host, those behind another one.

    Each form of a line is in `test_known_hosts.py`, each spelling of an address in
    `test_addresses.py`.
    """
    remote = start(config=config, known=known + "\n")
    shown = f"[{host}]" if ":" in host else host
    listed = remote.git("ls-remote", f"ssh://{shown}{remote.repository}")
    if why is None:
        assert listed.returncode == 0, listed.stderr
        return
    assert listed.returncode == 128
    assert why in listed.stderr
    assert "can name it in [git] of its airlock.toml: fetch = [" in listed.stderr
    assert remote.notes == []


@pytest.mark.skipif(not KNOWS_COMMANDS, reason="this ssh has no Match command (OpenSSH 10.0 has)")
def test_a_way_that_git_alone_takes_needs_naming(start: Start) -> None:
    """What ssh is asked is what it is run with, so that a Match of the command is seen."""
    config = f'Match command "git-*"\n ProxyJump x\nHost name\n HostName {PUBLIC}\n'
    remote = start(config=config, known=f"{PUBLIC} ssh-ed25519 {KEY}\n")
    listed = remote.git("ls-remote", f"ssh://name{remote.repository}")
    assert "jump host" in listed.stderr
    assert remote.notes == []


def test_a_pattern_grants_no_address_of_this_host_and_a_name_does(start: Start) -> None:
    """`*` is no name: what it covers must be public."""
    remote = start(profile='[git]\npush = ["*/**"]\n')
    refused = remote.git("ls-remote", f"ssh://127.0.0.1{remote.repository}")
    assert "has an address of this host" in refused.stderr
    path = str(remote.repository).removesuffix(".git")
    remote.world.write_profile(f'[git]\npush = ["127.0.0.1{path}"]\n', commands='["git-remote"]')
    assert remote.daemon.stop() == 0
    with Daemon(remote.world) as daemon:
        remote.daemon = daemon
        assert remote.git("ls-remote", f"ssh://127.0.0.1{remote.repository}").returncode == 0
    assert not [word for word in remote.notes if word.startswith("-oHostName")]
