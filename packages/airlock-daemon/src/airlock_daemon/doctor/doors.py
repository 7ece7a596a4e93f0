"""Containers of agents that run, and the ways out of them beside Airlock's.

The engine names the containers, and the kernel says what each has mounted and on which sockets
somebody listens in it. What a container says of itself is not asked.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence

import msgspec

from airlock_daemon.doctor.surroundings import Surroundings
from airlock_daemon.identity.engine_sockets import find_engine_socket, find_foreign_procfs
from airlock_daemon.platform.linux.mountinfo import (
    MountRow,
    find_shown,
    parse_mountinfo,
    read_own_mounts,
)
from airlock_daemon.platform.linux.procfs import read_process_file
from airlock_daemon.setup.finding import Finding
from airlock_daemon.setup.reserved import is_within
from airlock_wire import quote

_ANSWER_S = 10
_MOST = 1 << 20
_NAME = "doors"

_FORWARDED = (
    (
        re.compile(r".*/vscode-ssh-auth[^/]*\.sock"),
        "your ssh-agent, which an editor forwards: what runs in it can sign with all your keys",
    ),
    (
        re.compile(r".*/vscode-(git|remote-containers)[^/]*\.sock"),
        "the git helper of an editor: what runs in it can ask for passwords that your git knows",
    ),
    (
        re.compile(r".*/S\.gpg-agent[^/]*"),
        "a gpg-agent, perhaps yours, which an editor forwards",
    ),
)
_KEEP_OUT = (
    "attach no editor to it that forwards them; VS Code does not where it was started without "
    'SSH_AUTH_SOCK, and with "dev.containers.gitCredentialHelperConfigLocation": "none"'
)
_VARIABLES = ("SSH_AUTH_SOCK", "VSCODE_GIT_IPC_HANDLE", "REMOTE_CONTAINERS_IPC")


class _State(msgspec.Struct):
    pid: int = msgspec.field(name="Pid", default=0)


class _Config(msgspec.Struct):
    environment: tuple[str, ...] | None = msgspec.field(name="Env", default=None)


class _HostConfig(msgspec.Struct):
    pid_mode: str = msgspec.field(name="PidMode", default="")


class _Container(msgspec.Struct):
    """What of `docker inspect` tells of a container that runs."""

    container_id: str = msgspec.field(name="Id")
    name: str = msgspec.field(name="Name")
    state: _State = msgspec.field(name="State")
    config: _Config = msgspec.field(name="Config", default_factory=_Config)
    host: _HostConfig = msgspec.field(name="HostConfig", default_factory=_HostConfig)

    @property
    def shown_name(self) -> str:
        return self.name.lstrip("/")

    @property
    def joined(self) -> str:
        """The id of the container whose pid namespace it has; "" where that is its own."""
        return self.host.pid_mode.partition("container:")[2]


def find_doors(around: Surroundings) -> Iterator[Finding]:
    """Tell what each container of an agent has that leads out of it past Airlock."""
    program = shutil.which("docker", path=around.daemon_path)
    sockets_dir = os.path.realpath(around.locations.sockets_dir)
    running = _list_containers(program) if program is not None else ()
    for container in running:
        mountinfo = _read(container.state.pid, "mountinfo")
        rows = parse_mountinfo(mountinfo)
        shown = _list_shown(rows)
        agents = _list_agents(shown, sockets_dir)
        if agents:
            place = f"container {container.shown_name}"
            yield from _look_at(container, place, agents, mountinfo, shown, around)
            yield from _look_at_processes(container, place, agents, mountinfo, running, around)


def _look_at(
    container: _Container,
    place: str,
    agents: Sequence[str],
    mountinfo: str,
    shown: Sequence[str],
    around: Surroundings,
) -> Iterator[Finding]:
    sockets_dir = os.path.realpath(around.locations.sockets_dir)
    point = find_engine_socket(mountinfo, sockets_dir=sockets_dir)
    if point is not None:
        accepted = all(_accepts(around, name) for name in agents)
        problem = f"has the socket of a container engine, {quote(point)}: it is root on this host"
        remedy = "end it, and start it without that mount"
        if accepted:
            remedy = "or leave it: the profile of its agent accepts that (engine_socket = true)"
        yield Finding(place, "", problem, remedy, name=_NAME, is_note=accepted)
    if len(agents) > 1 or "" in agents:
        whose = "all agents" if "" in agents else f"the agents {', '.join(agents)}"
        problem = f"has the sockets of {whose}, and may do what any of them may"
        remedy = f"end it, and mount the directory of its own agent alone: {sockets_dir}/AGENT"
        yield Finding(place, "", problem, remedy, name=_NAME)
    own = around.environment.get("SSH_AUTH_SOCK") or around.daemon_environment.get("SSH_AUTH_SOCK")
    if own and any(is_within(os.path.realpath(own), each) for each in shown):
        problem = "has your ssh-agent mounted: what runs in it can sign with all your keys"
        yield Finding(place, "", problem, "start it without that mount", name=_NAME)
    for path in _list_listeners(container.state.pid):
        for pattern, what in _FORWARDED:
            if pattern.fullmatch(path):
                yield Finding(place, "", f"has {what} ({quote(path)})", _KEEP_OUT, name=_NAME)
    for variable in container.config.environment or ():
        name, _, value = variable.partition("=")
        if name in _VARIABLES and value:
            problem = f"was started with {name}={quote(value)}: a forwarded agent or git helper"
            yield Finding(place, "", problem, _KEEP_OUT, name=_NAME, is_note=True)


def _look_at_processes(
    container: _Container,
    place: str,
    agents: Sequence[str],
    mountinfo: str,
    running: Sequence[_Container],
    around: Surroundings,
) -> Iterator[Finding]:
    """Tell what it reaches by /proc/<pid>/root of processes that are not its own."""
    accepted = all(_accepts(around, name) for name in agents)
    remedy = "or leave it: the profile of its agent accepts that (engine_socket = true)"
    point = find_foreign_procfs(mountinfo)
    if point is not None:
        problem = f"sees processes of others in {quote(point)}, and by them their files and sockets"
        end = remedy if accepted else "end it, and start it without that mount"
        yield Finding(place, "", problem, end, name=_NAME, is_note=accepted)
    if container.joined:
        problem = "shares the processes of another container, and by them its files and sockets"
        end = remedy if accepted else "end it, and start it without --pid (in compose: pid)"
        yield Finding(place, "", problem, end, name=_NAME, is_note=accepted)
    for each in running:
        if each.joined != container.container_id:
            continue
        # No request shows it: to look through all processes would take too long.
        point = find_engine_socket(_read(each.state.pid, "mountinfo"), sockets_dir=None)
        if point is not None:
            problem = (
                f"shares its processes with the container {each.shown_name}, which has the socket "
                f"of a container engine, {quote(point)}: it is root on this host"
            )
            end = remedy if accepted else f"end {each.shown_name}, and start it without --pid"
            yield Finding(place, "", problem, end, name=_NAME, is_note=accepted)


def _accepts(around: Surroundings, agent: str) -> bool:
    generation = None if around.setup is None else around.setup.generations.get(agent)
    return generation is not None and generation.agent.profile.engine_socket


def _list_containers(program: str) -> Sequence[_Container]:
    """Those that run; none where the engine does not answer, which another examination tells."""
    try:
        words = (program, "ps", "--quiet", "--no-trunc")
        running = _ask(words).decode(errors="replace").split()
        if not running:
            return ()
        inspected = _ask((program, "inspect", "--type", "container", *running))
        return msgspec.json.decode(inspected, type=tuple[_Container, ...])
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError):
        return ()


def _ask(words: Sequence[str]) -> bytes:
    # One that ends meanwhile makes it fail, and the others are told all the same.
    return subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_S, check=False
    ).stdout


def _read(pid: int, name: str) -> str:
    try:
        return read_process_file(pid, name, most=_MOST) if pid else ""
    except OSError:
        return ""


def _list_shown(rows: Sequence[MountRow]) -> list[str]:
    """The paths of this host that are mounted."""
    host = read_own_mounts()
    return [path for row in rows if not row.is_pseudo for path in find_shown(host, row)]


def _list_agents(shown: Sequence[str], sockets_dir: str) -> list[str]:
    """The agents whose sockets are mounted; "" for all of them."""
    found: dict[str, None] = {}
    for path in shown:
        if is_within(sockets_dir, path):
            found[""] = None
        elif is_within(path, sockets_dir):
            name = os.path.relpath(path, sockets_dir).split("/")[0]
            found[name.removesuffix(".sock")] = None
    return list(found)


def _list_listeners(pid: int) -> Iterator[str]:
    """The paths of unix sockets in the network namespace of a process (proc_pid_net(5))."""
    for line in _read(pid, "net/unix").splitlines()[1:]:
        fields = line.split(maxsplit=7)
        if len(fields) == 8 and fields[7].startswith("/"):
            yield fields[7]
