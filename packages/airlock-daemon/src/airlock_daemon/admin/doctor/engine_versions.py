"""Docker engines of agents: the versions of them and their runc, and their networks.

A version with a suffix (`1.1.15+ds1`) is a distribution's, which mends holes without a new number.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence

import msgspec

from airlock_daemon.admin.doctor.surroundings import Note, Problem, Surroundings

_ANSWER_S = 10
_VERSION = re.compile(r"v?([0-9]+)\.([0-9]+)\.([0-9]+)(?:-rc\.?([0-9]+))?(.*)")
_RELEASED = 1_000

Version = tuple[int, int, int, int]


class _Fix(msgspec.Struct, frozen=True):
    """A hole of a component, and the version of each branch that has it no more, in their order."""

    component: str
    holes: str
    effect: str
    fixed: tuple[str, ...]


_FIXES = (
    _Fix(
        "runc",
        "CVE-2024-21626",
        "a container reaches files of the host",
        ("1.1.12",),
    ),
    _Fix(
        "runc",
        "CVE-2025-31133, CVE-2025-52565 and CVE-2025-52881",
        "a container writes to files of the kernel, and is root on the host",
        ("1.2.8", "1.3.3", "1.4.0-rc.3"),
    ),
    _Fix(
        "Engine",
        "CVE-2024-29018",
        "names that a container of an internal network looks up leave the host",
        ("23.0.11", "25.0.5", "26.0.0"),
    ),
)


class _Component(msgspec.Struct):
    name: str = msgspec.field(name="Name")
    version: str = msgspec.field(name="Version", default="")


class _Server(msgspec.Struct):
    """What `docker version` says of the engine."""

    components: tuple[_Component, ...] | None = msgspec.field(name="Components", default=None)


def check_engine_versions(around: Surroundings) -> Iterator[Problem]:
    """An engine that an agent is granted does not answer, or it or its runc has a known hole."""
    program = shutil.which("docker", path=around.daemon_path)
    generations = () if around.setup is None else around.setup.generations.values()
    engines = {each.docker.engine for each in generations if each.docker is not None}
    for engine in sorted(engines) if program is not None else ():
        named = {"DOCKER_HOST": f"unix://{engine}"} if engine else {}
        words = (program or "", "version", "--format", "{{json .Server}}")
        components = _ask(words, {**os.environ, **around.daemon_environment, **named})
        if engine and not components:
            remedy = (
                f"start it, or let the user of the daemon reach it: docker -H unix://{engine} ps"
            )
            yield Problem(engine, "does not answer, and [docker] of a profile names it", remedy)
        for component in components:
            for each in _FIXES:
                if each.component == component.name:
                    yield from _judge(component.version, each)


def check_engine_networks(around: Surroundings) -> Iterator[Problem]:
    """Containers that an agent makes reach services of this host."""
    for each in () if around.setup is None else around.setup.generations.values():
        if each.docker is not None and not each.docker.is_isolated:
            yield Note(
                each.agent.profile_file,
                "lets the agent's docker containers reach what listens on this host's addresses",
                'write network = "isolated" in its [docker], unless that is meant',
            )


def _ask(words: Sequence[str], environment: dict[str, str]) -> tuple[_Component, ...]:
    """The components of an engine; none if it does not answer."""
    try:
        done = subprocess.run(
            words,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_ANSWER_S,
            check=False,
            env=environment,
        )
        return msgspec.json.decode(done.stdout, type=_Server).components or ()
    except (OSError, subprocess.TimeoutExpired, msgspec.MsgspecError):
        return ()


def _judge(version: str, fix: _Fix) -> Iterator[Problem]:
    found = _read(version)
    if found is None or _has(found[0], fix):
        return
    name = "the docker engine" if fix.component == "Engine" else fix.component
    problem = f"is {version}, and {fix.holes} ({fix.effect}) {{}}{' and '.join(fix.fixed)}"
    if found[1]:
        remedy = f"its changelog says: apt changelog {'docker.io' if name != 'runc' else name}"
        yield Note(name, problem.format("may be mended there; originally in "), remedy)
    else:
        yield Problem(name, problem.format("are mended in "), f"install {fix.fixed[-1]} or newer")


def _has(version: Version, fix: _Fix) -> bool:
    """Whether a version is not older than what mended its branch."""
    branches = [found[0] for found in map(_read, fix.fixed) if found is not None]
    own = [each for each in branches if each[:2] == version[:2]]
    return version >= (own[0] if own else branches[-1])


def _read(text: str) -> tuple[Version, str] | None:
    """A version, and a distribution's suffix; None if it is none."""
    found = _VERSION.fullmatch(text)
    if found is None:
        return None
    candidate = int(found[4]) if found[4] else _RELEASED
    return (int(found[1]), int(found[2]), int(found[3]), candidate), found[5]
