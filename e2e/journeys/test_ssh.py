"""ssh from a container: a command on another machine, with the host's key."""

import os

import pytest
from e2e.world.scene import Stage

from .errands.ssh import Ssh


def test_the_command_runs_on_the_other_machine(user_stage: Stage, ssh_errand: Ssh) -> None:
    """It is another machine and another user than the host's and the container's."""
    scene = user_stage.workshop
    with scene.setup(scene.images.busybox).running() as client:
        said = client.run(*ssh_errand.call, "hostname; id -un").succeeded().stdout
    machine, user = said.splitlines()
    assert ssh_errand.machine.startswith(machine)
    assert user == "guest"


def test_streams_and_status_are_the_remote_commands(user_stage: Stage, ssh_errand: Ssh) -> None:
    """Standard input reaches it, its outputs stay apart, and its status is ssh's."""
    scene = user_stage.workshop
    data = os.urandom(200_000)
    with scene.setup(scene.images.busybox).running() as client:
        echoed = client.run(*ssh_errand.call, "cat; echo err >&2; exit 7", stdin=data)
        assert (echoed.exit_code, echoed.out, echoed.stderr) == (7, data, "err")


def test_a_host_that_nobody_knows_is_not_trusted(user_stage: Stage, ssh_errand: Ssh) -> None:
    """The server under another name has a host key that is not known, and ssh goes no further."""
    scene = user_stage.workshop
    *call, _ = ssh_errand.call
    with scene.setup(scene.images.busybox).running() as client:
        stranger = client.run(*call, "guest@localhost", "true")
        assert stranger.exit_code == 255
        assert "Host key verification failed" in stranger.stderr
        for option in ("-oStrictHostKeyChecking=no", "-oProxyCommand=touch trapped", "-i/x"):
            assert client.run(*call, option, "guest@localhost", "true").exit_code == 126
    assert not (scene.project.path / "trapped").exists()


def test_the_agent_is_not_forwarded(user_stage: Stage, ssh_errand: Ssh) -> None:
    """The other machine gets no way to the host's keys, nor a way back into its network."""
    scene = user_stage.workshop
    *call, target = ssh_errand.call
    with scene.setup(scene.images.busybox).running() as client:
        told = client.run(*call, target, 'echo "agent ${SSH_AUTH_SOCK-none}"').succeeded()
        assert told.stdout == "agent none"
        for option in (
            "-A",
            "-R1234:127.0.0.1:22",
            "-L1234:127.0.0.1:22",
            "-D1234",
            "-oForwardAgent=yes",
        ):
            assert client.run(*call, option, target, "true").exit_code == 126


def test_what_a_session_did_is_in_the_record(
    user_stage: Stage, ssh_errand: Ssh, pytestconfig: pytest.Config
) -> None:
    """Where it went, and the command; -v shows the first, and nothing of the configuration."""
    scene = user_stage.workshop
    *call, target = ssh_errand.call
    with scene.setup(scene.images.busybox).running() as client:
        told = client.run(*call, "-v", target, "true").succeeded()
    assert told.stderr.startswith(f"airlock: ssh goes to {target}:{call[-1]}; ")
    assert "id_ed25519" not in told.stderr
    records = [each for each in scene.airlock.audit() if each["event"] == "broker"]
    # Bytes of passed descriptors do not pass by the daemon.
    counted = 0 if pytestconfig.getoption("--without-linux") else None
    assert records[-1]["detail"] == {
        "operation": f"ssh {target}:{call[-1]} true",
        "service": "ssh",
        "destination": f"ssh://{target}:{call[-1]}",
        "command": "true",
        "bytes": counted,
        "received": counted,
    }
