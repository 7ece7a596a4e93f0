"""An sshd on the loopback interface, run by the account that runs the suite.

Its sessions run that account's shell with the run's own home and PATH. Otherwise the shell would
read the account's start-up files, whose output would be part of a comparison.
"""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .server import choose_port, running_server

_SERVER = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host-key
PidFile none
AuthorizedKeysFile {folder}/authorized
AuthenticationMethods publickey
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PrintMotd no
PrintLastLog no
PermitUserEnvironment no
PermitUserRC no
SetEnv HOME={folder}/home PATH=/usr/local/bin:/usr/bin:/bin
MaxStartups 100
"""

# Unknown to servers before OpenSSH 9.8.
_NEWER = "PerSourcePenalties no\n"

# The first value found wins: settings of a single host must come first.
_CLIENT = """\
Host unknown
    HostKeyAlias nobody-knows-it
Host changed
    HostKeyAlias changed
Host stranger
    IdentityFile {folder}/stranger-key
Host nobody
    Port 1
Host behind
    ProxyJump host
Host host unknown changed behind
    IdentityFile {folder}/client-key
Host *
    HostName 127.0.0.1
    Port {port}
    User {user}
    IdentitiesOnly yes
    UserKnownHostsFile {folder}/known-hosts
    GlobalKnownHostsFile none
    HostKeyAlias known
"""


def why_not() -> str | None:
    """Return why no server can run here, or None."""
    if shutil.which("sshd", path="/usr/sbin:/usr/bin") is None:
        return "there is no sshd (Debian: openssh-server)"
    return None


def configuration(folder: Path) -> Path:
    """Return the path of the client's configuration for a server in `folder`."""
    return folder / "ssh-config"


@contextmanager
def running_sshd(folder: Path, *, more: str = "", program: Sequence[str] = ()) -> Iterator[int]:
    """Serve for the length of the context, with all files in `folder`; yields the port.

    `more` is added to the server's configuration. `program` is the server's command, by default
    this host's.
    """
    for name in ("host-key", "client-key", "stranger-key"):
        subprocess.run(
            ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", folder / name],
            check=True,
        )
    (folder / "home").mkdir()
    port = choose_port()
    shutil.copy(folder / "client-key.pub", folder / "authorized")
    host_key = (folder / "host-key.pub").read_text()
    other_key = (folder / "stranger-key.pub").read_text()
    (folder / "known-hosts").write_text(f"known {host_key}changed {other_key}")
    settings = {"port": port, "folder": folder, "user": pwd.getpwuid(os.getuid()).pw_name}
    configuration(folder).write_text(_CLIENT.format_map(settings))
    if os.geteuid() == 0:
        os.makedirs("/run/sshd", exist_ok=True)
    argv = [*(program or _find_sshd()), "-f", str(folder / "sshd-config")]
    server = _SERVER.format_map(settings)
    for newer in (_NEWER, ""):
        (folder / "sshd-config").write_text(server + newer + more)
        if subprocess.run([*argv, "-t"], capture_output=True, check=False).returncode == 0:
            break
    with running_server(
        [*argv, "-D", "-e"],
        port=port,
        said=folder / "sshd-said",
        environment={"PATH": "/usr/bin:/bin"},
    ):
        yield port


def _find_sshd() -> list[str]:
    sshd = shutil.which("sshd", path="/usr/sbin:/usr/bin")
    assert sshd is not None
    return [sshd]
