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
    """Give the host what the client has not: the password, in git-credential-store(1)'s file."""
    server = urlsplit(url)
    places.credential.touch(mode=0o600)
    places.credential.write_text(f"{server.scheme}://{user}:{password}@{server.netloc}\n")
    (places.host_home / ".gitconfig").write_text("[credential]\n\thelper = store\n")


def write_configuration(places: Places, *, url: str, container: bool) -> None:
    """Write what Airlock needs: what may run at all, the agent's profile, its registration.

    The client may push to the repository at ``url``, and there to branches below ``agent/``, as it
    is where a profile names none; git of the host it may run too, which has no password.
    """
    # No box runs as root; of another user's files it can change those that all may change.
    user = f"\n[sandbox]\nuser = {quote(BOX_USER)}\n" if os.geteuid() == 0 else ""
    places.airlock.enable(["git-remote", "git"], more=user)
    # Of a container the engine tells what is mounted; a process has to be told of.
    here = quote(places.workspace)
    mounts = "" if container else f"\n[workspace]\nmounts = {{ {here} = {here} }}\n"
    places.airlock.add_agent(
        AGENT,
        profile=f'commands = ["git-remote", "git"]\n\n[git]\npush = [{quote(url)}]\n{mounts}',
    )


@contextmanager
def run_daemon(places: Places, *, program: Path, extra: Mapping[str, str]) -> Iterator[None]:
    """Run ``airlock-daemon start`` on the files of ``places`` until the block ends.

    Raises DemoError with the daemon's own words when it does not get up.
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
    """Return what ``airlock-daemon log tail`` tells of the client's requests."""
    argv = [*places.airlock.argv([program], "log"), "tail", "--command", "git-remote"]
    environment = build_variables(places.host_home)
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=True).stdout


def read_audit(places: Places) -> list[dict[str, Any]]:
    """Return the audit log's ``broker`` records, one for each push of the client, in order."""
    if not places.airlock.log.is_file():
        return []
    records = [json.loads(line) for line in places.airlock.log.read_text().splitlines()]
    return [record for record in records if record.get("event") == "broker"]
