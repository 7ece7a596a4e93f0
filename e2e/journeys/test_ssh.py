"""ssh from a container: a command on another machine, with the host's key."""

import os
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from e2e.world.command import run
from e2e.world.need import need
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


def test_files_go_by_the_containers_own_scp_and_sftp(user_stage: Stage, ssh_errand: Ssh) -> None:
    """They call the shim as their ssh: it takes a subsystem, and the old protocol of scp."""
    scene = user_stage.workshop
    data = os.urandom(300_000)
    _, option, port, target = ssh_errand.call
    assert option == "-p"
    with scene.setup(scene.images.debian).running() as client:
        client.run("sh", "-c", "cat >/tmp/here", stdin=data).succeeded()
        for name, words in (("new", ()), ("old", ("-O",))):
            scp = ("scp", *words, "-q", "-S", "ssh", "-P", port)
            client.run(*scp, "/tmp/here", f"{target}:{name}-{client.id[:8]}").succeeded()
            client.run(*scp, f"{target}:{name}-{client.id[:8]}", f"/tmp/{name}").succeeded()
            assert client.run("cat", f"/tmp/{name}").succeeded().out == data
        batch = f"rename new-{client.id[:8]} moved-{client.id[:8]}\nls -1\n".encode()
        sftp = ("sftp", "-S", "ssh", "-b", "-", "-P", port, target)
        assert f"moved-{client.id[:8]}" in client.run(*sftp, stdin=batch).succeeded().stdout


def test_folders_go_by_rsync(user_stage: Stage, ssh_errand: Ssh) -> None:
    """There and back, what changed alone, and what is gone; this machine's rsync at both ends."""
    program = shutil.which("rsync")
    if program is None:
        need("there is no rsync; install Debian's rsync")
        return
    scene = user_stage.workshop
    linked = run(("ldd", program)).succeeded().stdout
    files = [program, *re.findall(r"=> (/\S+)", linked)]
    for file in files:
        content = Path(file).read_bytes()
        ssh_errand.place(file, content)
    setup = scene.setup(scene.images.debian)
    mounts = {**setup.mounts, **{file: (Path(file).resolve(), "ro") for file in files}}
    *_, port, target = ssh_errand.call
    with replace(setup, mounts=mounts).running() as client:
        there = f"{target}:folder-{client.id[:8]}/"
        fill = "mkdir -p /tmp/a/sub; head -c300000 /dev/urandom >/tmp/a/sub/large; echo x >/tmp/a/x"
        client.run("sh", "-c", fill).succeeded()
        rsync = ("rsync", "--archive", "--delete", "--rsh", f"ssh -p {port}", "--stats")
        client.run(*rsync, "/tmp/a/", there).succeeded()
        client.run("sh", "-c", "rm /tmp/a/x; echo more >>/tmp/a/sub/large").succeeded()
        again = client.run(*rsync, "--no-whole-file", "/tmp/a/", there).succeeded().stdout
        assert "Number of deleted files: 1 " in again
        literal = re.search(r"Literal data: ([0-9,]+)", again)
        assert literal is not None
        assert int(literal[1].replace(",", "")) < 10_000
        client.run(*rsync, there, "/tmp/b/").succeeded()
        client.run("diff", "-r", "/tmp/a", "/tmp/b").succeeded()


def test_a_host_that_the_profile_does_not_name_is_not_reached(
    user_stage: Stage, ssh_errand: Ssh
) -> None:
    """Neither another port nor another address of the same machine; the hint has the line."""
    scene = user_stage.workshop
    with scene.setup(scene.images.busybox).running() as client:
        for words in (("guest@127.0.0.1",), ("-p", ssh_errand.call[2], "guest@127.0.0.2")):
            refused = client.run("ssh", *words, "true")
            assert refused.exit_code == 126
            assert "may not reach" in refused.stderr
            assert 'hosts = ["guest@127.0.0.' in refused.stderr


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
