"""The container engine, which tells the daemon what a container has mounted."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator

import msgspec

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.identity.engines import EngineInfo
from airlock_daemon.setup.finding import Finding

_ANSWER_S = 10

_BY_HAND = (
    'write what containers mount to each profile: [workspace] mounts = { "/workspace" = "~/src" }'
)


def find_engine_faults(around: Surroundings) -> Iterator[Finding]:
    """Tell that there is no engine, or that it does not answer."""
    program = shutil.which("docker", path=around.daemon_path)
    if program is None:
        problem = "is not on the daemon's PATH, so that mounts of containers are not found"
        yield Finding("docker", "", problem, _BY_HAND, name="engine", is_note=True)
        return
    info = _ask(program)
    if isinstance(info, EngineInfo) and info.version:
        return
    said = info if isinstance(info, str) else " ".join(info.errors)
    remedy = "start it: sudo systemctl start docker"
    if "permission denied" in said.lower():
        user = pwd.getpwuid(os.geteuid()).pw_name
        remedy = (
            f"sudo usermod -aG docker {user} and log in again (who is in that group is root), "
            f"or {_BY_HAND}"
        )
    yield Finding(program, "", f"does not answer: {said}", remedy, name="engine")


def find_virtual_machine(around: Surroundings) -> Iterator[Finding]:
    """Tell that containers run on a kernel of their own, of which this one knows nothing."""
    program = shutil.which("docker", path=around.daemon_path)
    info = _ask(program) if program else ""
    where = info.explain_elsewhere() if isinstance(info, EngineInfo) else None
    if where is not None:
        problem = (
            f"runs elsewhere ({where}): the kernel of this host cannot tell which container asks, "
            "nor what it has mounted, and the tools of this host are another system's than theirs, "
            "so that no command of theirs has a box here"
        )
        remedy = f'grant commands = ["git-remote"], for the git of the container; {_BY_HAND}'
        yield Finding(program or "docker", "", problem, remedy, name="docker-desktop")


def _ask(program: str) -> EngineInfo | str:
    """What the engine says of itself, or what was said instead."""
    try:
        done = subprocess.run(
            (program, "info", "--format", "{{json .}}"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        )
        return msgspec.json.decode(done.stdout, type=EngineInfo)
    except subprocess.TimeoutExpired:
        return f"nothing within {_ANSWER_S} s"
    except OSError as error:
        return error.strerror or str(error)
    except msgspec.MsgspecError:
        return done.stderr.decode(errors="replace").strip() or "no answer"
