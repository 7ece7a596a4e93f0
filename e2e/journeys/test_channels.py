"""Ways to install the daemon that README.md names in one line: each ends in a push."""

from pathlib import Path

import pytest
from e2e.world.action_job import run_action
from e2e.world.fresh_host import FreshHosts
from e2e.world.git_server import GitServer
from e2e.world.keyed_host import HOME, keyed_host
from e2e.world.wheels import CHECKOUT

README = (CHECKOUT / "README.md").read_text()
CHANNELS = {
    "uvx": ("uv", "uvx 'airlock-daemon[run]'", "uvx 'airlock-daemon[run]' {}"),
    "pipx": ("pipx", "pipx install 'airlock-daemon[run]'", "~/.local/bin/airlock {}"),
}
"""What has to be there, the line of the README, and how a command is typed then."""
SLOW = ("pipx",)


@pytest.mark.parametrize(
    "channel",
    [pytest.param(each, marks=[pytest.mark.nightly] * (each in SLOW)) for each in CHANNELS],
)
def test_a_line_leads_to_a_push(
    channel: str, fresh_hosts: FreshHosts, server: GitServer, tmp_path: Path
) -> None:
    """From a machine without Airlock."""
    has, line, command = CHANNELS[channel]
    assert f"`{line}`" in README
    repository = server.make_repository(f"by-{channel}")
    with keyed_host(fresh_hosts, server, tmp_path / "host", has=has) as host, host.index():
        if channel == "pipx":
            host.type(line)
        host.begin(repository.url_from_containers)
        host.register(command)
        assert host.push(command, "agent/x") == repository.commit("agent/x")


def test_the_action_gives_a_job_a_daemon_and_its_steps_no_key(
    fresh_hosts: FreshHosts, server: GitServer, tmp_path: Path
) -> None:
    """By the script of action.yml: later steps push and log in, and find the key in no file."""
    repository = server.make_repository("by-action")
    with keyed_host(fresh_hosts, server, tmp_path / "runner") as runner, runner.index():
        _, key = run_action(runner, CHECKOUT / "channels/action", repository)
        assert runner.push_only("agent/x") == repository.commit("agent/x")
        socket = "AIRLOCK_SOCKET=~/.config/airlock/sockets/my/airlock.sock"
        step = f"cd app && {socket} ~/bin/ssh guest@{server.address} id -un"
        assert runner.type(step) == "guest"
        secret = key.splitlines()[1]
        assert runner.host.run("grep", "-rlF", secret, HOME, "/tmp").stdout == ""
