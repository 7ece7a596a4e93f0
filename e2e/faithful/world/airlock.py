"""Two daemons of the same agent: one passes descriptors, the other streams."""

import json
import signal
import socket
import subprocess
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from e2e.faithful.world.ground import Ground
from e2e.faithful.world.modules import PROFILE_SET, Grant

CARRIAGES = ("descriptors", "streamed")
"""How what is written gets to the client, which is the one thing in which the daemons differ."""

AGENT = "faithful"
_PATIENCE_S = 20
_TICK_S = 0.02


class NotStarted(AssertionError):
    """The daemon ended, or accepts no connection."""


def socket_folder(ground: Ground, carriage: str) -> Path:
    """Return the directory of the agent's socket with the daemon for `carriage`."""
    return ground.airlock / carriage / "sockets" / AGENT


@contextmanager
def running_daemons(
    ground: Ground, *, executable: Path, grants: Mapping[str, Grant], carriages: Collection[str]
) -> Iterator[None]:
    """Run a daemon for each of `carriages` for as long as the context lasts. Raises NotStarted."""
    processes: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for carriage in carriages:
            processes[carriage] = _start(ground, carriage, executable, grants)
        for carriage, process in processes.items():
            _await(ground, carriage, process)
        yield
    finally:
        for process in processes.values():
            process.send_signal(signal.SIGTERM)
        for process in processes.values():
            try:
                process.wait(timeout=_PATIENCE_S)
            finally:
                process.kill()
                process.wait()


def audit_log(ground: Ground, carriage: str) -> Path:
    """Return the file in which the daemon for `carriage` notes what it does."""
    return ground.airlock / carriage / "airlock.log"


def last_words(ground: Ground, carriage: str) -> str:
    """Return the end of what a daemon wrote."""
    return (ground.airlock / carriage / "said").read_text(errors="replace")[-2000:]


def _start(
    ground: Ground, carriage: str, executable: Path, grants: Mapping[str, Grant]
) -> subprocess.Popen[bytes]:
    folder = ground.airlock / carriage
    for name in ("config", "agent/commands"):
        (folder / name).mkdir(parents=True)
    passes = "true" if carriage == "descriptors" else "false"
    (folder / "config" / "config.toml").write_text(
        f"[commands]\nenable = {json.dumps(sorted(grants))}\n\n"
        f"[daemon]\npass_descriptors = {passes}\n\n"
        f"[log]\npath = {json.dumps(str(audit_log(ground, carriage)))}\n"
    )
    variables = ", ".join(f"{name} = {json.dumps(value)}" for name, value in PROFILE_SET.items())
    (folder / "agent" / "airlock.toml").write_text(
        f"commands = []\n\n[env]\nset = {{ {variables} }}\n\n[workspace]\nhost = true\n"
    )
    for name, grant in grants.items():
        if grant.text is not None:
            (folder / "agent" / "commands" / f"{name}.toml").write_text(grant.text)
    agents = folder / "agents.toml"
    agents.write_text(f"[{AGENT}]\npath = {json.dumps(str(folder / 'agent'))}\n")
    with (folder / "said").open("wb") as said:
        return subprocess.Popen(
            [
                *(str(executable), f"--config={folder / 'config'}", f"--agents={agents}"),
                *(f"--sockets={folder / 'sockets'}", "start"),
            ],
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd="/",
            env=ground.environment,
        )


def _await(ground: Ground, carriage: str, process: subprocess.Popen[bytes]) -> None:
    path = str(socket_folder(ground, carriage) / "airlock.sock")
    # A daemon tells nobody that it is up but those who connect, so that is what is tried.
    for _ in range(int(_PATIENCE_S / _TICK_S)):
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
            if probe.connect_ex(path) == 0:
                return
        try:
            process.wait(timeout=_TICK_S)
        except subprocess.TimeoutExpired:
            continue
        break
    raise NotStarted(f"no daemon serves {path}; it wrote:\n{last_words(ground, carriage)}")
