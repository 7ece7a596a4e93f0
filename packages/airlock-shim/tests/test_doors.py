"""`airlock-shim --doors`: what else leads out of the container that it runs in."""

import os
import subprocess
from pathlib import Path

import pytest

PROBE = "unshare --map-root-user --mount true"


def look(shim: Path, folder: Path, prepare: str, **environment: str) -> tuple[int, str]:
    """Its exit status, and what it says, where /tmp is empty and `prepare` was run."""
    (folder / "run").mkdir(exist_ok=True)
    script = (
        f"cp {shim} {folder}/run/airlock-shim && mount --bind {folder}/run /run && "
        f"mount -t tmpfs none /tmp && {prepare} && cd / && exec /run/airlock-shim --doors"
    )
    words = ["unshare", *(["--map-root-user"] if os.geteuid() else []), "--mount", "sh", "-c"]
    done = subprocess.run(
        [*words, script],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": os.environ["PATH"], **environment},
    )
    return done.returncode, done.stderr


@pytest.fixture(autouse=True)
def namespaces() -> None:
    """Whether this host lets a mount namespace be made."""
    done = subprocess.run(PROBE.split(), capture_output=True, check=False)
    if done.returncode:
        pytest.skip(f"no namespaces here: {done.stderr.decode()[-200:]}")


def test_there_is_none(shim: Path, folder: Path) -> None:
    """A directory that docker created in place of a socket is no socket."""
    assert look(shim, folder, "mkdir /run/docker.sock", SSH_AUTH_SOCK="") == (0, "")


def test_an_engines_socket_is_told(shim: Path, folder: Path) -> None:
    """Once, though it is there by two paths."""
    bind = "import socket; socket.socket(socket.AF_UNIX).bind('/run/docker.sock')"
    status, said = look(shim, folder, f'python3 -c "{bind}"')
    assert status == 1
    assert said.count("airlock: the socket of a container engine is here: ") == 1
    assert "who can use it is root on the host" in said


def test_what_is_forwarded_is_told(shim: Path, folder: Path) -> None:
    """By a variable, and by what an editor makes in /tmp."""
    made = "touch /tmp/vscode-ssh-auth-1.sock /tmp/vscode-remote-containers-2.js /tmp/other"
    status, said = look(shim, folder, made, SSH_AUTH_SOCK="/tmp/agent\x1b[2J")
    assert status == 1
    assert "an ssh-agent or git helper may be forwarded: SSH_AUTH_SOCK is /tmp/agent" in said
    assert "\x1b" not in said
    assert said.count("airlock: an editor forwards something to this container: /tmp/vscode-") == 2
    assert said.count("no rule of Airlock holds for what it signs or tells") == 3
