"""What `doctor` says of tools, ssh-agent, engine and kernel, each finding provoked."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_daemon.setup.bridge import BridgeVolumes
from boxing import boxed_world, needs_bubblewrap, write_boxes
from examining import around, find, write_program
from running import Daemon
from worlds import World


def test_tools_that_only_the_shell_finds_are_told(world: World, tmp_path: Path) -> None:
    """With the line that has the daemon find them too, which then works."""
    write_program(tmp_path / "mine", "deploy", "")
    world.write_module("sh", "deploy")
    shell = f"{tmp_path}/mine:/usr/bin:/bin"
    world.write_config('[daemon]\npath = "/usr/bin:/bin"\n')
    (found,) = find("tools", around(world, PATH=shell))
    assert f"though your shell finds {tmp_path}/mine/deploy" in found.problem
    line = found.remedy.removeprefix("set [daemon] ").removesuffix(" in config.toml")
    world.write_config(f"[daemon]\n{line}\n")
    assert find("tools", around(world, PATH=shell)) == []
    world.write_module("sh", "nowhere")
    (found,) = find("tools", around(world, PATH=shell))
    assert found.remedy == "install it"


def test_tools_that_are_others_for_the_shell_are_noted(world: World, tmp_path: Path) -> None:
    """Both paths are named."""
    world.write_module("git", "git")
    world.write_config('[daemon]\npath = "/usr/bin:/bin"\n')
    write_program(tmp_path / "mine", "git", "")
    (found,) = find("shell-path", around(world, PATH=f"{tmp_path}/mine:/usr/bin"))
    assert f"and {tmp_path}/mine/git in your shell" in found.problem
    assert found.is_note


def test_certificates_that_a_broker_has_not_made_are_told(world: World) -> None:
    """Of an agent with an API, where a daemon runs that should have had them made."""
    profile = '[network]\nallow = ["static.example.com:443"]\n[workspace]\nhost = true\n'
    with Daemon(world):
        assert find("certificates", around(world)) == []
        world.write_profile(profile)
        (found,) = find("certificates", around(world))
        assert found.source == f"{world.config}/sockets/my/ca.pem"
        for name in ("ca.pem", "ca-bundle.pem", "truststore.p12"):
            (world.config / "sockets/my" / name).touch()
        assert find("certificates", around(world)) == []
    world.write_profile(profile)
    (world.config / "sockets/my/ca.pem").unlink()
    assert find("certificates", around(world)) == []


@pytest.fixture
def agent_socket(tmp_path: Path) -> Iterator[str]:
    """A real ssh-agent without keys."""
    program = shutil.which("ssh-agent")
    if program is None:
        pytest.skip("there is no ssh-agent")
    path = str(tmp_path / "agent")
    process = subprocess.Popen((program, "-D", "-a", path), stdout=subprocess.DEVNULL)
    while not os.path.exists(path):
        assert process.poll() is None
        os.sched_yield()
    yield path
    process.kill()
    process.wait()


def test_the_ssh_agent_is_asked(world: World, agent_socket: str, tmp_path: Path) -> None:
    """None, one that is gone, one without keys, another one than the shell's, and a good one."""
    world.write_module("git", "git", '[deny]\nargs = []\n[env]\ninherit = ["SSH_AUTH_SOCK"]\n')
    (found,) = find("ssh-agent", around(world))
    assert "is not set for the daemon" in found.problem
    (found,) = find("ssh-agent", around(world, SSH_AUTH_SOCK=str(tmp_path / "gone")))
    assert "no agent answers there" in found.problem
    assert not found.is_note
    (found,) = find("ssh-agent", around(world, SSH_AUTH_SOCK=agent_socket))
    assert (found.problem, found.remedy) == ("is an agent without keys", "ssh-add")
    key = tmp_path / "key"
    subprocess.run(("ssh-keygen", "-q", "-N", "", "-t", "ed25519", "-f", str(key)), check=True)
    environment = {**os.environ, "SSH_AUTH_SOCK": agent_socket}
    subprocess.run(("ssh-add", "-q", str(key)), env=environment, check=True)
    assert find("ssh-agent", around(world, SSH_AUTH_SOCK=agent_socket)) == []
    with Daemon(world, environment={"SSH_AUTH_SOCK": agent_socket}):
        (found,) = find("ssh-agent", around(world, SSH_AUTH_SOCK=str(tmp_path / "other")))
        assert "your shell has another one" in found.problem


def test_an_engine_that_does_not_answer_is_told(world: World, tmp_path: Path) -> None:
    """With the way to start it, or to be let in; without one, what to write by hand."""
    tools = tmp_path / "tools"
    world.write_config(f'[daemon]\npath = "{tools}:/usr/bin:/bin"\n')
    write_program(tools, "docker", 'echo "permission denied while trying to connect" >&2; exit 1')
    (found,) = find("engine", around(world))
    assert "sudo usermod -aG docker" in found.remedy
    write_program(tools, "docker", "echo Cannot connect to the Docker daemon >&2; exit 1")
    (found,) = find("engine", around(world))
    assert found.remedy == "start it: sudo systemctl start docker"
    (tools / "docker").unlink()
    world.write_config(f'[daemon]\npath = "{tools}"\n')
    (found,) = find("engine", around(world))
    assert found.is_note
    assert "[workspace] mounts" in found.remedy


def test_an_endpoint_without_an_engine_is_told(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By what docker itself says."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker")
    monkeypatch.setenv("DOCKER_HOST", "unix:///nowhere/docker.sock")
    (found,) = find("engine", around(world))
    assert "does not answer: " in found.problem
    assert not found.is_note


@pytest.mark.parametrize(
    ("runc", "engine", "problem", "is_note"),
    [
        ("1.1.11", "28.0.0", "CVE-2024-21626 (a container reaches", False),
        ("1.3.2", "28.0.0", "are mended in 1.2.8 and 1.3.3 and 1.4.0-rc.3", False),
        ("1.4.0-rc.2", "28.0.0", "CVE-2025-31133", False),
        ("1.3.3", "25.0.4", "CVE-2024-29018", False),
        ("1.1.15+ds1", "26.1.5+dfsg1", "may be mended there", True),
        ("1.2.8", "25.0.5", "", False),
        ("1.4.0", "28.5.1", "", False),
        ("something", "else", "", False),
    ],
)
def test_an_engine_with_a_known_hole_is_told(
    world: World, tmp_path: Path, runc: str, engine: str, problem: str, *, is_note: bool
) -> None:
    """Where an agent is granted docker: by the branch; a distribution's may have it mended."""
    components = [{"Name": "Engine", "Version": engine}, {"Name": "runc", "Version": runc}]
    answer = json.dumps({"Components": components})
    write_program(tmp_path / "tools", "docker", f"echo '{answer}'")
    world.write_config(f'[daemon]\npath = "{tmp_path}/tools:/usr/bin:/bin"\n')
    assert find("engine-version", around(world)) == []
    world.write_module("git", "docker", '[sandbox]\nbox = "closed"\nbrokers = ["docker"]\n')
    found = find("engine-version", around(world))
    assert problem in " ".join(each.problem for each in found)
    assert bool(found) == bool(problem)
    assert any(each.is_note for each in found) == is_note


def test_an_engine_of_a_profile_that_does_not_answer_is_told(world: World) -> None:
    """The person's own is told of by another check."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker")
    world.write_module("git", "docker", '[sandbox]\nbox = "closed"\nbrokers = ["docker"]\n')
    world.write_profile('[docker]\nengine = "unix:///nowhere/docker.sock"\n')
    (found,) = find("engine-version", around(world))
    assert found.source == "/nowhere/docker.sock"
    assert "does not answer" in found.problem


def test_a_network_with_an_address_of_this_host_is_told(world: World) -> None:
    """Of an agent with docker."""
    assert find("engine-network", around(world)) == []
    world.write_module("git", "docker", '[sandbox]\nbox = "closed"\nbrokers = ["docker"]\n')
    (found,) = find("engine-network", around(world))
    assert 'network = "isolated"' in found.remedy
    world.write_profile('[docker]\nnetwork = "isolated"\n')
    assert find("engine-network", around(world)) == []


def test_docker_desktop_is_told(world: World, tmp_path: Path) -> None:
    """A stand-in for what this machine cannot be; another engine is good."""
    tools = tmp_path / "tools"
    world.write_config(f'[daemon]\npath = "{tools}:/usr/bin:/bin"\n')
    own = os.uname().release
    for system, kernel, count in (
        ("Docker Desktop", own, 1),
        ("Alpine Linux", "6.6.1-virt", 1),
        ("Debian GNU/Linux 13", own, 0),
    ):
        said = {"ServerVersion": "28.0", "OperatingSystem": system, "KernelVersion": kernel}
        answer = json.dumps(said)
        write_program(tools, "docker", f"echo '{answer}'")
        assert len(find("docker-desktop", around(world))) == count
        assert find("engine", around(world)) == []


def test_a_bridge_that_nobody_needs_or_runs_is_told(world: World, tmp_path: Path) -> None:
    """By an engine on this kernel, and by one that is not there."""
    tools = tmp_path / "tools"
    world.write_config(f'[daemon]\npath = "{tools}"\n')
    assert find("bridge", around(world)) == []
    world.write_profile('[bridge]\nengine = "podman"\n')
    (found,) = find("bridge", around(world))
    assert "podman, which is not on the daemon's PATH" in found.problem
    said = {
        "ServerVersion": "28.0",
        "OperatingSystem": "Linux",
        "KernelVersion": os.uname().release,
    }
    write_program(tools, "podman", f"echo '{json.dumps(said)}'")
    (found,) = find("bridge", around(world))
    assert found.is_note
    assert "runs containers on this kernel" in found.problem
    said["KernelVersion"] = "6.6.1-virt"
    write_program(tools, "podman", f"echo '{json.dumps(said)}'")
    assert find("bridge", around(world)) == []


def test_a_volume_that_no_agent_has_is_told(world: World) -> None:
    """One that stayed when its agent, or its bridge, went."""
    state = world.load().state
    volume = BridgeVolumes(state).make("my", "docker")
    (found,) = find("bridge", around(world))
    assert volume.name in found.problem
    assert found.source == "docker"
    BridgeVolumes(state).release(volume)
    (found,) = find("bridge", around(world))
    assert volume.name in found.problem


@needs_bubblewrap
def test_bubblewrap_is_tried(caplog: pytest.LogCaptureFixture) -> None:
    """By a real box where it is installed; what it says where it cannot make one is told, once."""
    with boxed_world() as world:
        tools = world.root / "tools"
        tools.mkdir()
        write_boxes(world, more=f'[daemon]\npath = "{tools}"\n')
        (found,) = find("bubblewrap", around(world))
        assert "install bubblewrap" in found.remedy
        assert not found.is_note
        said = "bwrap: setting up uid map: Permission denied"
        write_program(tools, "bwrap", f"echo '{said}' >&2; exit 1")
        (found,) = find("bubblewrap", around(world))
        assert found.problem.startswith(f"makes no box: {said} (")
        assert said not in caplog.text
        write_program(tools, "bwrap", "exit 0")
        assert len(find("bubblewrap", around(world))) == 1
        (tools / "bwrap").unlink()
        (tools / "bwrap").symlink_to("/usr/bin/bwrap")
        assert find("bubblewrap", around(world)) == []


def write_system(root: Path, path: str, text: str) -> None:
    file = root / path.lstrip("/")
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


@pytest.mark.parametrize(
    ("name", "path", "bad", "good"),
    [
        ("user-namespaces", "/proc/sys/kernel/unprivileged_userns_clone", "0\n", "1\n"),
        ("user-namespaces", "/proc/sys/user/max_user_namespaces", "0\n", "63000\n"),
        ("apparmor", "/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1\n", "0\n"),
        ("selinux", "/sys/fs/selinux/enforce", "1", "0"),
    ],
)
def test_what_the_kernel_forbids_is_told(
    world: World, tmp_path: Path, name: str, path: str, bad: str, good: str
) -> None:
    """Settings that this machine has otherwise, in files that stand for its own."""
    root = tmp_path / "root"
    world.write_config(f'[daemon]\npath = "{tmp_path}"\n')
    assert find(name, around(world, root)) == []
    write_system(root, path, bad)
    (found,) = find(name, around(world, root))
    assert found.source == path
    write_system(root, path, good)
    assert find(name, around(world, root)) == []


@pytest.mark.parametrize(
    ("options", "left"),
    [("size=1m", "1 MB left"), ("size=64m,nr_inodes=9", "room for 8 files left")],
)
def test_a_full_disk_is_told(world: World, tmp_path: Path, options: str, left: str) -> None:
    """By what the daemon writes there; a disk with room is not."""
    namespaces = ("unshare", "--user", "--map-root-user", "--mount")
    if subprocess.run((*namespaces, "true"), check=False).returncode != 0:
        pytest.skip("no mount can be made here")
    folder = str(tmp_path)
    mount = f"mount -t tmpfs -o {options} none {folder}"
    look = ("-m", "airlock_daemon", "--config", str(world.config), "doctor", "--json")
    words = (*namespaces, "sh", "-c", f'{mount} && exec "$@"', "sh", sys.executable, *look)
    environment = {**os.environ, "TMPDIR": folder}
    said = subprocess.run(
        words, env=environment, capture_output=True, text=True, check=False
    ).stdout
    findings = [each for each in json.loads(said)["findings"] if each["name"] == "disk"]
    assert [each["source"] for each in findings] == [folder]
    assert left in findings[0]["problem"]
    assert find("disk", around(world)) == []
