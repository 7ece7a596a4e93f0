"""`airlock-shim --exec COMMAND...`: the command, and the variables that it gets."""

import os
import socket
from pathlib import Path

import pytest

from fake_brokers import FakeBroker, free_port
from fake_daemons import Ended, wait


@pytest.fixture
def nothing(broker: FakeBroker) -> FakeBroker:
    """An agent's directory in which no API was ever served."""
    broker.stop()
    broker.path.unlink()
    return broker


def test_the_command_is_the_process(nothing: FakeBroker) -> None:
    """Its arguments, streams, signals and status are its own."""
    process = nothing.start("sh", "-c", 'echo $$ "$@"; cat >&2; kill -TERM $$', "x", "a b", "")
    output = process.communicate(b"typed")
    assert output == (f"{process.pid} a b \n".encode(), b"typed")
    assert process.returncode == -15


def test_without_apis_nothing_listens(nothing: FakeBroker) -> None:
    """Where the daemon has served none, the command alone is started."""
    nothing.begin()
    with pytest.raises(ConnectionRefusedError), socket.socket() as client:
        client.connect(("127.0.0.1", nothing.port))


def test_a_command_is_found_without_a_path(nothing: FakeBroker) -> None:
    """Where the environment has no PATH, it is the usual one."""
    assert wait(nothing.start("true", wrapper=["/usr/bin/env", "-u", "PATH"])) == Ended(0, b"", "")


def test_tools_of_the_host_come_last_in_the_path(nothing: FakeBroker) -> None:
    """Those of an image that has the directory for them are found before."""
    script = "mount -t tmpfs x /opt; mkdir /opt/airlock-host-commands; "
    script += "printf '#!/bin/sh\necho host' >/opt/airlock-host-commands/env; "
    script += "cp /opt/airlock-host-commands/env /opt/airlock-host-commands/only; "
    script += 'chmod 755 /opt/airlock-host-commands/*; exec "$@"'
    wrapper = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-euc", script, "sh"]
    shown = nothing.start("sh", "-c", "env printf 'own '; only; echo $PATH", wrapper=wrapper)
    assert (
        wait(shown).stdout
        == f"own host\n{os.environ['PATH']}:/opt/airlock-host-commands\n".encode()
    )


def test_a_command_that_cannot_be_executed_is_told_as_by_a_shell(nothing: FakeBroker) -> None:
    """127 for one that is not there, 126 for one that is there and cannot run."""
    folder = nothing.folder
    (folder / "text").write_text("echo not a program")
    (folder / "script").write_text("#!/nonexistent/sh\n")
    (folder / "plain").write_text("")
    for name in ("text", "script"):
        (folder / name).chmod(0o755)
    expected = [
        ("nonesuch", 127, "no such file or directory"),
        (f"{folder}/script", 127, "the loader or interpreter that it names is missing"),
        ("plain", 126, "permission denied"),
        (f"{folder}", 126, "permission denied"),
        ("text", 126, "it is no program for this machine"),
    ]
    for command, status, reason in expected:
        ended = wait(nothing.start(command, environment={"PATH": f"/none::{folder}:/usr/bin"}))
        assert ended == Ended(
            status,
            b"",
            f"airlock: cannot execute {command}: {reason}\nairlock: hint: name a program of this "
            "image, by its path or as PATH leads to it\n",
        )


def test_an_environment_that_is_too_long_is_told(broker: FakeBroker) -> None:
    """What the container has fits, and with the daemon's variables it does not."""
    broker.folder.joinpath("client.env").write_text("X=" + "x" * 60_000 + "\n")
    given = {"GIVEN": "x" * 100_000}
    ended = wait(broker.start("true", wrapper=["prlimit", "--stack=524288"], environment=given))
    assert ended.status == 126
    assert "cannot execute true: the arguments and the environment are too long" in ended.stderr


def _environment(broker: FakeBroker, **given: str) -> dict[str, str]:
    process = broker.start("env", "-0", environment=given)
    entries = wait(process).stdout.decode().split("\0")[:-1]
    return dict(entry.split("=", 1) for entry in entries)


def test_variables_that_are_absent_are_set(broker: FakeBroker) -> None:
    """What the environment has stays, in whatever case; the rest leads to this listener."""
    broker.folder.joinpath("client.env").write_text(
        "GH_TOKEN=ghp_made_up\n"
        "HTTPS_PROXY=http://127.0.0.1:13128\n"
        "JAVA_TOOL_OPTIONS=-Da=/run/airlock/t.p12 -Dhttps.proxyPort=13128\n"
        "NO_PROXY=localhost,127.0.0.1\n"
        "SSL_CERT_FILE=/run/airlock/ca-bundle.pem\n"
        "https_proxy=http://127.0.0.1:13128\n"
        "CUT=of"
    )
    given = {"no_proxy": "", "GH_TOKEN": "mine"}
    environment = _environment(broker, **given)
    for name in ("PATH", "AIRLOCK_SOCKET", "AIRLOCK_PROXY_PORT"):
        del environment[name]
    assert environment == {
        **given,
        "HTTPS_PROXY": f"http://127.0.0.1:{broker.port}",
        "https_proxy": f"http://127.0.0.1:{broker.port}",
        "JAVA_TOOL_OPTIONS": f"-Da={broker.folder}/t.p12 -Dhttps.proxyPort={broker.port}",
        "SSL_CERT_FILE": f"{broker.folder}/ca-bundle.pem",
    }


def test_the_directory_of_the_only_agent_is_found(shim: Path, folder: Path) -> None:
    """Beside the socket NAME.sock it is NAME, as in the volume of a compose project."""
    (folder / "my").mkdir()
    with FakeBroker(folder / "my", shim) as broker:
        broker.folder.joinpath("client.env").write_text("A=/run/airlock/ca.pem\n")
        environment = _environment(broker, AIRLOCK_SOCKET=f"{folder}/my.sock")
        assert environment["A"] == f"{folder}/my/ca.pem"


def test_the_mounted_directory_is_found(broker: FakeBroker, unshare: list[str]) -> None:
    """Without AIRLOCK_SOCKET it is /run/airlock, or the only one of /run/airlock/sockets."""
    broker.folder.joinpath("client.env").write_text("A=/run/airlock/ca.pem\n")
    mount = 'mount -t tmpfs none /run && mkdir -p {0} && mount --bind "$0" {0} && {1} exec "$@"'
    for directory, also in [
        ("/run/airlock", ""),
        ("/run/airlock/sockets/my", "touch /run/airlock/sockets/my.sock &&"),
    ]:
        script = mount.format(directory, also)
        wrapper = [*unshare, "sh", "-c", script, os.fspath(broker.folder)]
        process = broker.start("printenv", "A", wrapper=wrapper, environment={"AIRLOCK_SOCKET": ""})
        assert wait(process) == Ended(0, f"{directory}/ca.pem\n".encode(), "")


@pytest.mark.parametrize(
    ("mounted", "said"),
    [
        ("/run/airlock/sockets", "several sockets are in /run/airlock/sockets: "),
        ("/run/airlock", "the sockets of all agents are mounted at /run/airlock, "),
    ],
)
def test_the_sockets_of_several_agents_are_told(
    nothing: FakeBroker, unshare: list[str], mounted: str, said: str
) -> None:
    """Nothing says whose APIs the container has. The command is executed, as it may need none."""
    script = f"mount -t tmpfs none /run && mkdir -p {mounted}/a {mounted}/b && "
    script += f'touch {mounted}/a.sock {mounted}/b.sock && exec "$@"'
    wrapper = [*unshare, "sh", "-c", script, "sh"]
    ended = wait(nothing.start("echo", "ran", wrapper=wrapper, environment={"AIRLOCK_SOCKET": ""}))
    assert (ended.status, ended.stdout) == (0, b"ran\n")
    assert ended.stderr.startswith(f"airlock: {said}")
    assert "mount only the directory of its own" in ended.stderr or "alone" in ended.stderr


@pytest.mark.parametrize("port", ["x", "0", "65536", "-1"])
def test_a_port_that_is_none_is_told(broker: FakeBroker, port: str) -> None:
    """Nothing is started where it is not known where to listen."""
    ended = wait(broker.start("true", environment={"AIRLOCK_PROXY_PORT": port}))
    assert ended == Ended(
        125,
        b"",
        f"airlock: the variable AIRLOCK_PROXY_PORT is no port: {port}\n"
        "airlock: hint: set it to a number from 1024 to 65535, or unset it\n",
    )


def test_a_port_that_another_program_has_is_told(broker: FakeBroker) -> None:
    """The command is not started: its tools would speak to that program."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", broker.port))
        other.listen()
        ended = wait(broker.start("echo", "ran"))
    assert ended == Ended(
        125,
        b"",
        f"airlock: cannot listen at port {broker.port} of 127.0.0.1: "
        "another program listens there\n"
        "airlock: hint: the container's tools reach the agent's APIs there; set AIRLOCK_PROXY_PORT "
        "to another port, from 1024 to 65535\n",
    )


def test_the_port_of_another_agents_listener_is_taken(broker: FakeBroker, shim: Path) -> None:
    """Containers that share a network share its loopback: each agent needs its own port."""
    broker.begin()
    other = broker.folder / "other"
    other.mkdir()
    with FakeBroker(other, shim) as second:
        environment = {"AIRLOCK_PROXY_PORT": str(broker.port)}
        assert (
            "another program listens there"
            in wait(second.start("true", environment=environment)).stderr
        )
        assert wait(second.start("true", environment={"AIRLOCK_PROXY_PORT": str(free_port())})) == (
            Ended(0, b"", "")
        )
