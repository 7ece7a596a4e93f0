"""The daemon as a service of a person's systemd, on a machine of its own."""

import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.world.command import Completed
from e2e.world.container import Container, Setup, shim_links
from e2e.world.executables import Executables
from e2e.world.images import Images
from e2e.world.product import Product
from e2e.world.systemd_host import SOCKETS, USER, SystemdHost, booted, build_systemd_image

CONFIG = ".config/airlock/config.toml"
REGISTRATION = ".config/airlock/agents.toml"
UNIT = ".config/systemd/user/airlock.service"

INIT = ("airlock-daemon", "--sockets", SOCKETS, "init")
DOCTOR = ("airlock-daemon", "--sockets", SOCKETS, "doctor")


@pytest.fixture(scope="session")
def image(product: Product) -> str:
    return build_systemd_image(daemon=product.daemon)


@pytest.fixture
def host(image: str, ground: Path) -> Iterator[SystemdHost]:
    """Return a machine on which nobody is logged in."""
    numbers = itertools.count()
    sockets = next(p for n in numbers if not (p := ground / f"service-{n}").exists())
    sockets.mkdir(mode=0o700)
    os.chown(sockets, USER, USER)
    with booted(image, sockets) as host:
        yield host


@pytest.fixture
def serving(host: SystemdHost) -> SystemdHost:
    """Return a machine on which the service runs, for an agent that may use ssh."""
    host.log_in()
    write_files(host)
    assert "the service was started" in host.run(*INIT).succeeded().stdout
    return host


def write_files(host: SystemdHost) -> None:
    host.write(CONFIG, '[commands]\nenable = ["ssh"]\n')
    host.write(REGISTRATION, '[my]\npath = "my"\n')
    host.write(".config/airlock/my/airlock.toml", 'commands = ["ssh"]\n')


def ask(client: Container) -> Completed:
    return client.run("ssh", "-V", cwd="/")


def describe_client(host: SystemdHost, executables: Executables, images: Images) -> Setup:
    """Return a container that has the socket's file mounted, and not its directory."""
    mounts = shim_links(executables.shim.resolve())
    mounts["/run/docker-airlock.sock"] = (host.sockets / "my.sock", "ro")
    return Setup(image=images.busybox, mounts=mounts)


def test_from_nothing_it_makes_files_and_says_what_to_add(host: SystemdHost) -> None:
    """The unit is sound, nothing is started, and a second time nothing changes."""
    host.log_in()
    said = host.run("airlock-daemon", "init").succeeded().stdout
    assert "made /home/dev/.config/airlock/config.toml" in said
    assert "fault:" not in said
    assert "the service was not started, since no command is enabled yet" in said
    assert host.show("ActiveState") == "inactive"
    assert host.show("UnitFileState") == "enabled"
    files = [host.read(path) for path in (CONFIG, REGISTRATION, UNIT)]
    runtime = f"XDG_RUNTIME_DIR=/run/user/{USER}"
    verified = host.run("env", runtime, "systemd-analyze", "--user", "verify", UNIT)
    assert verified.succeeded().stderr == ""
    again = host.run("airlock-daemon", "init").succeeded().stdout
    assert "airlock.service is as it should be" in again
    assert [host.read(path) for path in (CONFIG, REGISTRATION, UNIT)] == files


def test_it_starts_at_boot_once_the_user_lingers(
    serving: SystemdHost, executables: Executables, images: Images
) -> None:
    """Until then `init` warns, with the command that changes it."""
    warned = serving.run(*INIT).succeeded().stdout
    assert "warning: linger is off" in warned
    assert warned.endswith("loginctl enable-linger dev")
    said = serving.run(*DOCTOR)
    assert said.exit_code == 1
    (told,) = [line for line in said.stdout.splitlines() if line.startswith("finding: ")]
    assert told.startswith(f"finding: linger: /home/dev/{UNIT}: ends when you log out")
    serving.do_as_root("loginctl", "enable-linger", "dev")
    assert "linger" not in serving.run(*INIT).succeeded().stdout
    assert "good, with" in serving.run(*DOCTOR).succeeded().stdout
    serving.reboot()
    serving.wait_until_lingering()
    assert serving.show("ActiveState") == "active"
    with describe_client(serving, executables, images).running() as client:
        ask(client).succeeded()


def test_a_container_stays_connected_by_the_sockets_file(
    serving: SystemdHost, executables: Executables, images: Images
) -> None:
    """After a restart, a kill, a renewed unit, and another restart of what was taken over."""
    with describe_client(serving, executables, images).running() as client:
        ask(client).succeeded()
        serving.ask_systemd("restart", "airlock").succeeded()
        ask(client).succeeded()
        before = serving.show("MainPID")
        serving.ask_systemd("kill", "--kill-whom=main", "--signal=KILL", "airlock").succeeded()
        # The request waits in the socket for the next daemon.
        ask(client).succeeded()
        assert serving.show("MainPID") not in ("0", before)
        assert serving.show("NRestarts") == "1"
        renewed = serving.run("env", "SSH_AUTH_SOCK=/run/agent", *INIT).succeeded().stdout
        assert "the service was restarted" in renewed
        ask(client).succeeded()
        serving.ask_systemd("stop", "airlock").succeeded()
        assert ask(client).exit_code == 125


def test_the_socket_of_an_agent_that_is_gone_is_closed(
    serving: SystemdHost, executables: Executables, images: Images
) -> None:
    """What was kept for it is neither taken over nor left to wait for ever."""
    with describe_client(serving, executables, images).running() as client:
        serving.write(REGISTRATION, "")
        serving.ask_systemd("restart", "airlock").succeeded()
        assert ask(client).exit_code == 125
    assert list(serving.sockets.glob("**/*.sock")) == []


def test_it_reloads_and_keeps_what_it_has(serving: SystemdHost) -> None:
    """systemd waits for it and is told of faults; agents' sockets come and go in its store."""
    assert serving.show("NFileDescriptorStore") == "1"
    serving.write(REGISTRATION, '[my]\npath = "my"\n[two]\npath = "my"\n')
    serving.ask_systemd("reload", "airlock").succeeded()
    assert serving.show("NFileDescriptorStore") == "2"
    serving.write(CONFIG, "[commands]\nenable = [1]\n")
    assert serving.ask_systemd("reload", "airlock").exit_code != 0
    assert "the last reload failed" in serving.run(*DOCTOR).stdout
    assert serving.show("ActiveState") == "active"
    write_files(serving)
    serving.ask_systemd("reload", "airlock").succeeded()
    assert serving.show("NFileDescriptorStore") == "1"
    assert not (serving.sockets / "two.sock").exists()


def test_an_agent_that_is_added_starts_the_service(host: SystemdHost) -> None:
    """Where `init` had nothing to serve yet: from nothing it takes two commands."""
    host.log_in()
    host.run(*INIT).succeeded()
    add = (*INIT[:-1], "agent", "add", "my", "--command", "ssh", "--yes")
    assert "The service was started, and serves it." in host.run(*add).succeeded().stdout
    assert host.show("ActiveState") == "active"
    assert (host.sockets / "my.sock").is_socket()


def test_a_daemon_that_was_started_by_hand_is_not_pushed_aside(host: SystemdHost) -> None:
    """It is told, and once it has ended the service takes its place."""
    host.log_in()
    write_files(host)
    start = ("airlock-daemon", "--sockets", SOCKETS, "start", "--agents", REGISTRATION)
    home = ("--uid=dev", "--setenv=HOME=/home/dev", "--working-directory=/home/dev")
    host.do_as_root("systemd-run", "--property=Type=notify", "--unit=by-hand", *home, *start)
    said = host.run(*INIT).succeeded().stdout
    assert "fault: /sockets is served by a daemon that is not this service" in said
    assert host.show("ActiveState") == "inactive"
    host.do_as_root("systemctl", "stop", "by-hand")
    assert "the service was started" in host.run(*INIT).succeeded().stdout


def test_a_fault_in_the_files_is_not_tried_again(serving: SystemdHost) -> None:
    """The service fails once, and `init` starts it when the file is mended."""
    serving.write(CONFIG, "[commands]\nenable = [1]\n")
    assert serving.ask_systemd("restart", "airlock").exit_code != 0
    assert serving.show("ActiveState") == "failed"
    assert serving.show("NRestarts") == "0"
    said = serving.run(*DOCTOR).stdout
    assert f"finding: service: /home/dev/{UNIT}: is installed, and does not run" in said
    assert "finding: files: " in said
    write_files(serving)
    assert "the service was started" in serving.run(*INIT).succeeded().stdout


def test_an_edited_unit_stays(serving: SystemdHost) -> None:
    """It is told, with what to do instead; a drop-in is a file of its own."""
    edited = serving.read(UNIT) + "# mine\n"
    serving.write(UNIT, edited)
    said = serving.run(*INIT).succeeded().stdout
    assert "airlock.service stays as it is, since a person has edited it" in said
    assert "systemctl --user edit airlock" in said
    assert serving.read(UNIT) == edited
    assert "stays, since a person has edited it" in serving.run(*INIT, "--uninstall").stdout
    assert serving.read(UNIT) == edited


def test_the_service_of_an_earlier_release_is_migrated(host: SystemdHost) -> None:
    """It has to be stopped for that; `init` starts the new one."""
    host.log_in()
    write_files(host)
    host.run("mv", REGISTRATION, "agents.toml").succeeded()
    host.write("agents.toml", '[my]\npath = ".config/airlock/my"\n')
    host.run("mkdir", ".config/airlock/sockets").succeeded()
    start = "/usr/local/bin/airlock-daemon start --agents agents.toml"
    host.write(UNIT, f"[Service]\nExecStart={start}\nRestart=always\nRestartSec=5\n")
    host.ask_systemd("start", "airlock")
    refused = host.run("airlock-daemon", "migrate", "--yes")
    assert refused.exit_code == 1
    assert "stop it first, where you started it: systemctl --user stop airlock" in refused.stderr
    host.ask_systemd("stop", "airlock").succeeded()
    said = host.run("airlock-daemon", "migrate", "--yes").succeeded().stdout
    assert "Files of Airlock v0.4 become files of this release." in said
    said = host.run("airlock-daemon", "init").succeeded().stdout
    assert "airlock.service is as it should be" in said
    assert "the service was started" in said
    host.run("airlock-daemon", "doctor", "--alive").succeeded()
    assert host.run("airlock-daemon", "agent", "list").stdout.split()[::2] == ["my", "yes"]


def test_uninstalling_leaves_the_persons_files(serving: SystemdHost) -> None:
    """The service and its sockets go, and may come back; twice is once."""
    for _ in range(2):
        said = serving.run(*INIT, "--uninstall").succeeded().stdout
        assert "configuration, agents and log stay" in said
        assert serving.run("test", "-e", UNIT).exit_code == 1
        assert serving.ask_systemd("is-active", "airlock").stdout == "inactive"
        assert list(serving.sockets.glob("**/*.sock")) == []
        assert serving.read(REGISTRATION)
    assert "the service was started" in serving.run(*INIT).succeeded().stdout


def test_without_a_manager_of_the_user_it_says_how_there_would_be_one(host: SystemdHost) -> None:
    """Nobody is logged in, as for `su`: the files are made all the same."""
    said = host.run(*INIT).succeeded().stdout
    assert "no service was installed: systemd's manager of this user does not answer" in said
    assert "sudo loginctl enable-linger dev" in said
    assert "hint: without a service, keep this running: /usr/local/bin/airlock-daemon start" in said
    assert host.read(REGISTRATION)
