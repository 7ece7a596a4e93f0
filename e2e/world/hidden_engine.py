"""A Docker engine as in a virtual machine: reached by its command alone, without this host's files.

It runs in namespaces of its own: a network without this host's interfaces, and mounts in which the
homes of this host are empty. Only the person's `docker` knows the path of its socket.
"""

import os
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from .account import Account
from .command import TIMEOUT_S, Completed, run
from .errors import PATIENCE_S, BrokenError

_BEGIN = """
ip link set lo up
for path; do mount -t tmpfs hidden "$path"; done
cd /
exec dockerd --data-root "$FOLDER/root" --exec-root "$FOLDER/exec" --pidfile "$FOLDER/pid" \
    --host "unix://$FOLDER/engine.sock" --config-file /dev/null --iptables=false --ip6tables=false
"""
_CLIENT = """#!/bin/sh
DOCKER_HOST=unix://{folder}/engine.sock exec /usr/bin/docker "$@"
"""


@dataclass(slots=True, kw_only=True)
class HiddenEngine:
    """The engine in `folder`, for `account`; the directories `hidden` are empty there."""

    folder: Path
    account: Account
    hidden: Sequence[Path]
    _process: subprocess.Popen[bytes] | None = field(default=None, init=False)

    @property
    def programs(self) -> Path:
        """The directory of the `docker` that reaches it."""
        return self.folder / "bin"

    @property
    def host(self) -> str:
        """Its endpoint, which is in no variable of the account."""
        return f"unix://{self.folder}/engine.sock"

    def docker(self, *arguments: str, longest_s: float = TIMEOUT_S) -> Completed:
        """Run its command."""
        return run((str(self.programs / "docker"), *arguments), longest_s=longest_s)

    def load(self, image: str) -> None:
        """Copy an image from this host's engine."""
        save = ("docker", "save", image)
        with subprocess.Popen(save, stdout=subprocess.PIPE) as saving:
            words = (str(self.programs / "docker"), "load", "--quiet")
            subprocess.run(words, stdin=saving.stdout, check=True, capture_output=True)

    def add_program(self, image: str, program: str, *, name: str) -> None:
        """Make the image `name` of another one, and of a program of this host in /usr/local/bin."""
        container = self.docker("create", image, "true").succeeded().stdout
        self.docker("cp", "--follow-link", program, f"{container}:/usr/local/bin/").succeeded()
        self.docker("commit", container, name).succeeded()
        self.docker("rm", container).succeeded()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        begin = ("unshare", "--mount", "--net", "--propagation=slave", "sh", "-euc", _BEGIN, "sh")
        with (self.folder / "engine.log").open("ab") as log:
            self._process = subprocess.Popen(
                (*begin, *map(str, self.hidden)),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, "FOLDER": str(self.folder)},
                start_new_session=True,
            )
        until = time.monotonic() + PATIENCE_S
        while self.docker("version").exit_code != 0:
            if self._process.poll() is not None or time.monotonic() > until:
                raise BrokenError((self.folder / "engine.log").read_text()[-4000:])
            time.sleep(0.1)
        os.chown(self.folder / "engine.sock", self.account.uid, self.account.gid)

    def stop(self) -> None:
        """Stop it, and with it its containers."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(TIMEOUT_S)


@contextmanager
def running_hidden_engine(folder: Path, account: Account) -> Iterator[HiddenEngine]:
    """Run one below the directory `folder`, which the account's home is not."""
    engine = HiddenEngine(folder=folder, account=account, hidden=[account.home])
    engine.programs.mkdir(parents=True)
    client = engine.programs / "docker"
    client.write_text(_CLIENT.format(folder=folder))
    client.chmod(0o755)
    try:
        engine.start()
        yield engine
    finally:
        with suppress(OSError):
            left = engine.docker("ps", "--all", "--quiet").stdout.split()
            if left:
                engine.docker("rm", "--force", *left)
        engine.stop()
