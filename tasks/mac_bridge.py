"""A step of ``./dev mac-check``: a command from a container to this host, over a bridge.

The container's image is the one that the daemon makes for the bridge, so nothing is fetched.
"""

import secrets
import sys
import tempfile
import time
from pathlib import Path

from e2e.world.daemon import Daemon
from e2e.world.installation import Installation, quote

from tasks.mac_check import ask
from tasks.places import ROOT

# What is left of a run that was killed is not another run's.
_AGENT = f"mac-check-{secrets.token_hex(4)}"
_LABEL = f"label=airlock.bridge={_AGENT}"
_WORD = "host-word"
_MODULE = """
[command]
bin = {program}
[deny]
args = []
[sandbox]
box = "none"
"""
_TIMEOUT_S = 60.0


def main() -> int:
    """Have a container run a program of this host; return 0 if it printed what that has to say."""
    # An engine in a virtual machine has the homes of its host, and not its temporary files.
    with tempfile.TemporaryDirectory(prefix=".airlock-", dir=Path.home()) as name:
        try:
            status, said = _check(Path(name).resolve())
        finally:
            _remove_left()
    print(said)
    return status


def _check(folder: Path) -> tuple[int, str]:
    """What a container says, and the daemon, without the word and the folder; 0 if all is well."""
    word = secrets.token_hex(16)
    installation = Installation(folder)
    program = folder / _WORD
    program.write_text(f"#!/bin/sh\necho {word}\n")
    program.chmod(0o755)
    installation.enable([_WORD])
    module = _MODULE.format(program=quote(program))
    profile = f'commands = ["{_WORD}"]\n[bridge]\n'
    workspace = folder / "workspace"
    workspace.mkdir()
    installation.add_agent(_AGENT, profile=profile, modules={_WORD: module})
    command = [sys.executable, "-m", "airlock_daemon"]
    words = installation.argv(command)
    with Daemon(words, said=installation.said, sockets=installation.list_sockets):
        status, said = _run_container(installation.argv(command, "run"), cwd=workspace)
        report = [said, installation.said.read_text()]
    # The next daemon removes the volumes of an agent that is gone.
    installation.remove_agent(_AGENT)
    with Daemon(words, said=installation.said, says="airlock: ready"):
        is_left = _await_removal()
    report.append("a volume is left" if is_left else "no volume is left")
    text = "\n".join(report).replace(word, "THE WORD").replace(str(folder), "FOLDER")
    return int(status != 0 or word not in said or is_left), text


def _remove_left() -> None:
    """Remove what the daemon has not, as after a failure."""
    for kind, listing, removal in (
        ("container", ("ls", "--all"), ("rm", "--force")),
        ("volume", ("ls",), ("rm",)),
    ):
        status, said = _ask("docker", kind, *listing, "--quiet", "--filter", _LABEL)
        if status == 0 and (names := said.split()):
            _ask("docker", kind, *removal, *names)


def _run_container(run: list[str], *, cwd: Path) -> tuple[int, str]:
    """Run the program from a container as soon as the bridge is there."""
    until = time.monotonic() + _TIMEOUT_S
    while True:
        images = _ask("docker", "images", "--format", "{{.Repository}}:{{.Tag}}", "airlock-bridge")
        status, said = 1, "there is no image of a bridge"
        if images[1].strip():
            # The entrypoint of that image is the bridge itself.
            options = (_AGENT, "--docker-arg=--entrypoint=", images[1].split()[0])
            status, said = _ask(*run, *options, _WORD, cwd=cwd)
        if status == 0 or time.monotonic() > until:
            return status, said
        time.sleep(1)


def _await_removal() -> bool:
    """Whether a volume of the agent is left after a while."""
    until = time.monotonic() + _TIMEOUT_S
    words = ("docker", "volume", "ls", "--quiet", "--filter", _LABEL)
    while is_left := _ask(*words)[1].strip() != "":
        if time.monotonic() > until:
            break
        time.sleep(1)
    return is_left


def _ask(*words: str, cwd: Path = ROOT) -> tuple[int, str]:
    return ask(words, cwd=cwd, longest_s=2 * _TIMEOUT_S)


if __name__ == "__main__":
    sys.exit(main())
