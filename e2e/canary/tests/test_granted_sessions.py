"""What the guards are not to stop: a session with a key that only the human's agent has."""

import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.canary.scene import carry
from e2e.world.client import Client
from e2e.world.daemon import Daemon
from e2e.world.installation import Installation
from e2e.world.lines import make_request
from e2e.world.sshd import configuration, running_sshd

_PROFILE = 'commands = ["ssh"]\n[ssh]\nhosts = ["host", "behind"]\n'
_MODULE = """\
[command]
broker = "ssh"
[deny]
args = []
[env]
inherit = ["SSH_AUTH_SOCK"]
[args]
prepend = ["-F", "{folder}/ssh-config"]
"""


@pytest.fixture(scope="module")
def installation() -> Iterator[Installation]:
    """A running daemon whose human's keys are in an agent alone."""
    # pytest's own directories are too deep for a socket's path.
    folder = Path(tempfile.mkdtemp(prefix="airlock-")).resolve()
    try:
        (folder / "server").mkdir()
        with running_sshd(folder / "server"):
            text = configuration(folder / "server").read_text()
            keyless = text.replace(f"IdentityFile {folder}/server/client-key", "IdentityFile none")
            (folder / "ssh-config").write_text(keyless.replace("IdentitiesOnly yes", ""))
            installed = Installation(folder)
            installed.enable(["ssh"])
            modules = {"ssh": _MODULE.format(folder=folder)}
            installed.add_agent("my", profile=_PROFILE, modules=modules)
            # ssh-agent ends with the program that it runs, here the daemon.
            program = ["ssh-agent", "sh", "-c", 'ssh-add -q "$0" && exec "$@"']
            key = str(folder / "server" / "client-key")
            with Daemon(
                installed.argv([*program, key, sys.executable, "-m", "airlock_daemon"]),
                said=installed.said,
                sockets=installed.list_sockets,
                environment={"HOME": str(folder), "PATH": "/usr/bin:/bin", "TMPDIR": str(folder)},
            ):
                yield installed
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("host", ["host", "behind"])
def test_the_humans_agent_opens_the_way(installation: Installation, host: str) -> None:
    """To an alias, and to one behind another; it is not lent to the other side."""
    line = make_request("ssh", host, "cat; echo ${SSH_AUTH_SOCK-no agent}", features=("fds",))
    with Client(installation.socket("my")) as client:
        assert b"hello no agent\n" in carry(client, line, b"hello ")
