"""The host's side: the password, Airlock's files, and the daemon."""

import json
import queue
import signal
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any
from urllib.parse import urlsplit

from demo.errors import DemoError
from demo.places import AGENT, Places, build_variables

_READY_S = 20
_STOP_S = 15


def keep_credential(places: Places, *, url: str, user: str, password: str) -> None:
    """Give the host what the client has not: the password, in git-credential-store(1)'s file."""
    server = urlsplit(url)
    store = places.host_home / ".git-credentials"
    store.touch(mode=0o600)
    store.write_text(f"{server.scheme}://{user}:{password}@{server.netloc}\n")
    (places.host_home / ".gitconfig").write_text("[credential]\n\thelper = store\n")


def write_configuration(places: Places, *, container_path: str | None) -> None:
    """Write what Airlock needs: what may run at all, the agent's profile, its registration.

    ``container_path`` is where a container sees the workspace; None for a client on this machine.
    """
    if container_path is None:
        workspace = "host = true"
    else:
        workspace = f"mounts = {{ {_quote(container_path)} = {_quote(places.workspace)} }}"
    (places.airlock / "config.toml").write_text(
        f'[commands]\nenable = ["git"]\n\n[log]\npath = {_quote(places.log)}\n'
    )
    (places.agent / "airlock.toml").write_text(
        f'commands = ["git"]\n\n[workspace]\n{workspace}\n\n[git]\nprotocols = ["http"]\n'
    )
    places.registration.write_text(f"[{AGENT}]\npath = {_quote(places.agent)}\n")


@contextmanager
def run_daemon(places: Places, *, program: Path, extra: Mapping[str, str]) -> Iterator[None]:
    """Run ``airlock-daemon start`` on the files of ``places`` until the block ends.

    Raises DemoError with the daemon's own words when it does not get up.
    """
    options = (
        "--config",
        places.airlock,
        "--sockets",
        places.sockets,
        "--agents",
        places.registration,
    )
    daemon = subprocess.Popen(
        [program, *options, "start"],
        env=build_variables(places.host_home) | dict(extra),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
        # Ctrl-C at the terminal is for the demo, which then ends the daemon in order.
        start_new_session=True,
    )
    assert daemon.stderr is not None  # noqa: S101 - PIPE was asked for
    lines: queue.Queue[str | None] = queue.Queue()
    reader = threading.Thread(target=_read_lines, args=(daemon.stderr, lines))
    reader.start()
    try:
        _await_ready(lines)
        yield
    finally:
        _stop(daemon)
        reader.join()
        daemon.stderr.close()


def read_audit(places: Places) -> list[dict[str, Any]]:
    """Return the audit log's ``exec`` records, one for each request of the client, in order."""
    if not places.log.is_file():
        return []
    records = [json.loads(line) for line in places.log.read_text().splitlines()]
    return [record for record in records if record.get("event") == "exec"]


def _read_lines(stream: IO[str], lines: queue.Queue[str | None]) -> None:
    for line in stream:
        lines.put(line.rstrip("\n"))
    lines.put(None)


def _await_ready(lines: queue.Queue[str | None]) -> None:
    said: list[str] = []
    while True:
        try:
            line = lines.get(timeout=_READY_S)
        except queue.Empty:
            raise DemoError(
                "\n".join([f"the daemon was not up after {_READY_S} s; it said:", *said])
            ) from None
        if line is None:
            raise DemoError("\n".join(["the daemon ended before it was up; it said:", *said]))
        said.append(line)
        if line.startswith("airlock: enabled commands:"):
            return


def _stop(daemon: subprocess.Popen[str]) -> None:
    daemon.send_signal(signal.SIGTERM)
    try:
        daemon.wait(_STOP_S)
    except subprocess.TimeoutExpired:
        daemon.kill()
        daemon.wait()


def _quote(text: str | Path) -> str:
    # A JSON string of plain text is a TOML basic string.
    return json.dumps(str(text), ensure_ascii=False)
