"""The container engine, which tells the daemon what a container has mounted."""

import os
import pwd
import shutil
import subprocess
from collections.abc import Iterator

import msgspec

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.setup.finding import Finding

_ANSWER_S = 10

_BY_HAND = (
    'write what containers mount to each profile: [workspace] mounts = { "/workspace" = "~/src" }'
)


class _Info(msgspec.Struct):
    """The part of `docker info` that matters here."""

    version: str = msgspec.field(name="ServerVersion", default="")
    system: str = msgspec.field(name="OperatingSystem", default="")
    errors: list[str] = msgspec.field(name="ServerErrors", default=[])


def find_engine_faults(around: Surroundings) -> Iterator[Finding]:
    """Tell that there is no engine, or that it does not answer."""
    program = shutil.which("docker", path=around.daemon_path)
    if program is None:
        problem = "is not on the daemon's PATH, so that mounts of containers are not found"
        yield Finding("docker", "", problem, _BY_HAND, name="engine", is_note=True)
        return
    info = _ask(program)
    if isinstance(info, _Info) and info.version:
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
    if isinstance(info, _Info) and "Docker Desktop" in info.system:
        problem = (
            "is Docker Desktop: containers run in a virtual machine, where the kernel of this host "
            "cannot tell which container asks, nor what it has mounted"
        )
        yield Finding(program or "docker", "", problem, _BY_HAND, name="docker-desktop")


def _ask(program: str) -> _Info | str:
    """What the engine says of itself, or what was said instead."""
    try:
        done = subprocess.run(
            (program, "info", "--format", "{{json .}}"),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
        )
        return msgspec.json.decode(done.stdout, type=_Info)
    except subprocess.TimeoutExpired:
        return f"nothing within {_ANSWER_S} s"
    except OSError as error:
        return error.strerror or str(error)
    except msgspec.MsgspecError:
        return done.stderr.decode(errors="replace").strip() or "no answer"
