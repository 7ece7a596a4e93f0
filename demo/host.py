"""The host's side: the password, Airlock's files, and the daemon."""

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from e2e.world.account import BOX_USER
from e2e.world.daemon import Daemon
from e2e.world.errors import BrokenError
from e2e.world.installation import quote

from demo.errors import DemoError
from demo.places import AGENT, Places, build_variables


def keep_credential(places: Places, *, url: str, user: str, password: str) -> None:
    """Write the password, which the client lacks, to the host's git-credential-store(1) file."""
    server = urlsplit(url)
    places.credential.touch(mode=0o600)
    places.credential.write_text(f"{server.scheme}://{user}:{password}@{server.netloc}\n")
    (places.host_home / ".gitconfig").write_text("[credential]\n\thelper = store\n")


def write_configuration(places: Places, *, url: str, container: bool) -> None:
    """Write Airlock's files: the ceiling, the agent's profile, and its registration.

    The client may push to the repository at ``url``, to branches below ``agent/``, the default of a
    profile; it may also run the host's git, which has no password.
    """
    # No box runs as root; its user can change only world-writable files of others.
    user = f"\n[sandbox]\nuser = {quote(BOX_USER)}\n" if os.geteuid() == 0 else ""
    places.airlock.enable(["git-remote", "git"], more=user)
    # The engine reports a container's mounts; a process's must be configured.
    here = quote(places.workspace)
    mounts = "" if container else f"\n[workspace]\nmounts = {{ {here} = {here} }}\n"
    places.airlock.add_agent(
        AGENT,
        profile=f'commands = ["git-remote", "git"]\n\n[git]\npush = [{quote(url)}]\n{mounts}',
    )


@contextmanager
def run_daemon(places: Places, *, program: Path, extra: Mapping[str, str]) -> Iterator[None]:
    """Run ``airlock-daemon start`` on the files of ``places`` until the block ends.

    Raises DemoError with the daemon's output if it does not start.
    """
    try:
        with Daemon(
            places.airlock.argv([program]),
            said=places.airlock.said,
            sockets=places.airlock.list_sockets,
            environment=build_variables(places.host_home) | dict(extra),
        ):
            yield
    except BrokenError as error:
        raise DemoError(str(error)) from error


def show_audit(places: Places, *, program: Path) -> str:
    """Return the output of ``airlock-daemon log tail`` about the client's requests."""
    argv = [*places.airlock.argv([program], "log"), "tail", "--command", "git-remote"]
    environment = build_variables(places.host_home)
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout


def read_audit(places: Places) -> list[dict[str, Any]]:
    """Return the audit log's ``broker`` records, one per push of the client, in order."""
    if not places.airlock.log.is_file():
        return []
    records = [json.loads(line) for line in places.airlock.log.read_text().splitlines()]
    return [record for record in records if record.get("event") == "broker"]
