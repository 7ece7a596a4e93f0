"""The container engine, and agents' containers that can bypass Airlock.

The engine names the containers, and the kernel says what each has mounted and which sockets have
listeners in it. The containers themselves are not asked.
"""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence

import msgspec

from airlock_daemon.admin.doctor.surroundings import Note, Problem, Surroundings
from airlock_daemon.boundary.identity.engine_info import EngineInfo
from airlock_daemon.boundary.identity.engine_sockets import find_engine_socket, find_foreign_procfs
from airlock_daemon.errors import AND_RELOAD, LOOK_AT_MESSAGES
from airlock_daemon.path_text import is_within
from airlock_daemon.platform.system import MountTable, read_own_mounts, read_process_file
from airlock_daemon.setup.generation import container_directory
from airlock_wire import quote

_ANSWER_S = 10
_MAX = 1 << 20

_BY_HAND = (
    'write what containers mount to each profile: [workspace] mounts = { "/workspace" = "~/src" }'
)

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
_ACCEPTED = "or leave it: the profile of its agent accepts that (engine_socket = true)"


def check_engine(around: Surroundings) -> Iterator[Problem]:
    """The engine, which tells the daemon a container's mounts, is missing or does not answer."""
    program = shutil.which("docker", path=around.daemon_path)
    if program is None:
        problem = "is not on the daemon's PATH, so that mounts of containers are not found"
        yield Note("docker", problem, _BY_HAND)
        return
    info = _ask_info(program)
    if isinstance(info, EngineInfo) and info.version:
        return
    answer = info if isinstance(info, str) else " ".join(info.errors)
    remedy = EngineInfo.advise(answer) or EngineInfo.START
    if remedy != EngineInfo.START:
        remedy = f"{remedy}, or {_BY_HAND}"
    yield Problem(program, f"does not answer: {answer}", remedy)


def check_kernel(around: Surroundings) -> Iterator[Problem]:
    """Containers run on another kernel, of which this one knows nothing."""
    program = shutil.which("docker", path=around.daemon_path)
    info = _ask_info(program) if program else ""
    where = info.explain_elsewhere() if isinstance(info, EngineInfo) else None
    if where is not None:
        problem = (
            f"runs elsewhere ({where}): the kernel of this host cannot tell which container asks, "
            "nor what it has mounted, and the tools of this host are another system's than theirs, "
            "so that no command of theirs has a box here"
        )
        remedy = (
            "carry the sockets there: [bridge] in each profile; grant "
            f'commands = ["git-remote"], for the git of the container; {_BY_HAND}'
        )
        yield Problem(program or "docker", problem, remedy)


def check_bridges(around: Surroundings) -> Iterator[Problem]:
    """An agent's bridge does not run, or is paused, or its engine needs none; or one is left."""
    if around.setup is None:
        return
    bridges = {
        name: (generation, generation.agent.profile.bridge)
        for name, generation in around.setup.generations.items()
    }
    for volume in around.setup.state.bridges.list_all():
        if bridges.get(volume.agent, (None, None))[1] is None:
            remedy = "end the containers that mount it, and start the daemon again"
            problem = f"has the volume {volume.name} of a bridge that no agent has now"
            yield Problem(volume.engine, problem, remedy)
    for name, (generation, engine) in bridges.items():
        if engine is None:
            continue
        source = generation.agent.profile_file
        program = shutil.which(engine, path=around.daemon_path)
        if program is None:
            problem = f"[bridge] names {engine}, which is not on the daemon's PATH"
            yield Problem(source, problem, f"install {engine}, or name another engine there")
            continue
        info = _ask_info(program)
        if isinstance(info, EngineInfo) and info.kernel and info.explain_elsewhere() is None:
            problem = (
                f"has [bridge], but {engine} runs containers on this kernel: without it the daemon "
                "sees which container asks, and they can have boxes"
            )
            yield Note(source, problem, f"remove [bridge] there{AND_RELOAD}", is_note=True)
        if around.status is not None:
            own = around.setup.state.bridges.find(name)
            yield from _find_broken_bridge(program, engine, name, own.name if own else None)


def _find_broken_bridge(
    program: str, engine: str, agent: str, volume: str | None
) -> Iterator[Problem]:
    # The daemon names each container by its volume, and makes that first.
    form = ("--filter", f"name={volume or agent}-", "--format", "{{.Names}} {{.State}}")
    try:
        listed = _run((program, "ps", "--all", *form)).stdout.decode(errors="replace").split()
    except (OSError, subprocess.TimeoutExpired):
        # `check_engine` tells of an engine that does not answer.
        return
    containers = dict(zip(listed[::2], listed[1::2], strict=False)) if volume else {}
    if not containers:
        problem = f"runs no bridge of agent {agent}, so that no container reaches the daemon"
        yield Problem(engine, problem, f"look at the daemon: {LOOK_AT_MESSAGES}")
    if "running" not in containers.values():
        for name, state in containers.items():
            problem = f"has the bridge of agent {agent} {state}"
            yield Problem(engine, problem, f"{engine} rm --force {name}; the daemon starts another")


def _ask_info(program: str) -> EngineInfo | str:
    """The engine's information about itself, or why there is none."""
    try:
        done = _run((program, "info", "--format", "{{json .}}"))
        return msgspec.json.decode(done.stdout, type=EngineInfo)
    except subprocess.TimeoutExpired:
        return f"nothing within {_ANSWER_S} s"
    except OSError as error:
        return error.strerror or str(error)
    except msgspec.MsgspecError:
        return done.stderr.decode(errors="replace").strip() or "no answer"


def _run(words: Sequence[str]) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_ANSWER_S, check=False
    )


class _State(msgspec.Struct):
    pid: int = msgspec.field(name="Pid", default=0)


class _Config(msgspec.Struct):
    environment: tuple[str, ...] | None = msgspec.field(name="Env", default=None)


class _HostConfig(msgspec.Struct):
    pid_mode: str = msgspec.field(name="PidMode", default="")


class _Container(msgspec.Struct):
    """A running container in the output of `docker inspect`."""

    container_id: str = msgspec.field(name="Id")
    name: str = msgspec.field(name="Name")
    state: _State = msgspec.field(name="State")
    config: _Config = msgspec.field(name="Config", default_factory=_Config)
    host: _HostConfig = msgspec.field(name="HostConfig", default_factory=_HostConfig)

    @property
    def mountinfo(self) -> str:
        """Its mounts, according to the kernel."""
        return _read(self.state.pid, "mountinfo")

    @property
    def joined(self) -> str:
        """The id of the container whose pid namespace it shares; "" if it has its own."""
        return self.host.pid_mode.partition("container:")[2]


def check_doors(around: Surroundings) -> Iterator[Problem]:
    """A running container of an agent can bypass Airlock."""
    program = shutil.which("docker", path=around.daemon_path)
    running = _list_containers(program) if program is not None else ()
    host = read_own_mounts() if running else MountTable()
    for container in running:
        mountinfo = container.mountinfo
        rows = MountTable.parse(mountinfo)
        shown = [path for row in rows if not row.is_pseudo for path in host.find_shown(row)]
        agents = _list_agents(shown, os.path.realpath(around.locations.sockets_dir))
        if agents:
            yield from _check_mounts(container, agents, mountinfo, shown, around)
            yield from _check_sockets(container)
            yield from _check_processes(container, agents, mountinfo, running, around)


def _check_mounts(
    container: _Container,
    agents: Sequence[str],
    mountinfo: str,
    shown: Sequence[str],
    around: Surroundings,
) -> Iterator[Problem]:
    place = _name(container)
    sockets_dir = os.path.realpath(around.locations.sockets_dir)
    point = find_engine_socket(mountinfo, sockets_dir=sockets_dir)
    if point is not None:
        is_accepted = _accept_engine(around, agents)
        problem = f"has the socket of a container engine, {quote(point)}: it is root on this host"
        remedy = _ACCEPTED if is_accepted else "end it, and start it without that mount"
        yield Problem(place, problem, remedy, is_accepted)
    if len(agents) > 1 or "" in agents:
        whose = "all agents" if "" in agents else f"the agents {', '.join(agents)}"
        problem = f"has the sockets of {whose}, and may do what any of them may"
        remedy = f"end it, and mount the directory of its own agent alone: {sockets_dir}/AGENT"
        yield Problem(place, problem, remedy)
    own = around.environment.get("SSH_AUTH_SOCK") or around.daemon_environment.get("SSH_AUTH_SOCK")
    if own and any(is_within(os.path.realpath(own), each) for each in shown):
        problem = "has your ssh-agent mounted: what runs in it can sign with all your keys"
        yield Problem(place, problem, "start it without that mount")


def _check_sockets(container: _Container) -> Iterator[Problem]:
    """An editor forwards an agent or a helper into the container."""
    # The unix sockets of its network namespace (proc_pid_net(5)).
    for line in _read(container.state.pid, "net/unix").splitlines()[1:]:
        path = line.split(maxsplit=7)[7:]
        for pattern, what in _FORWARDED:
            if path and pattern.fullmatch(path[0]):
                yield Problem(_name(container), f"has {what} ({quote(path[0])})", _KEEP_OUT)
    for variable in container.config.environment or ():
        name, _, value = variable.partition("=")
        if name in _VARIABLES and value:
            problem = f"was started with {name}={quote(value)}: a forwarded agent or git helper"
            yield Note(_name(container), problem, _KEEP_OUT)


def _check_processes(
    container: _Container,
    agents: Sequence[str],
    mountinfo: str,
    running: Sequence[_Container],
    around: Surroundings,
) -> Iterator[Problem]:
    """It reaches files of other processes through /proc/<pid>/root."""
    is_accepted = _accept_engine(around, agents)
    found = list[tuple[str, str]]()
    point = find_foreign_procfs(mountinfo)
    if point is not None:
        problem = f"sees processes of others in {quote(point)}, and by them their files and sockets"
        found.append((problem, "end it, and start it without that mount"))
    if container.joined:
        problem = "shares the processes of another container, and by them its files and sockets"
        found.append((problem, "end it, and start it without --pid (in compose: pid)"))
    for each in running:
        # Requests do not detect it: examining all processes would take too long.
        is_joined = each.joined == container.container_id
        point = find_engine_socket(each.mountinfo, sockets_dir=None) if is_joined else None
        if point is not None:
            name = each.name.lstrip("/")
            problem = (
                f"shares its processes with the container {name}, which has the socket "
                f"of a container engine, {quote(point)}: it is root on this host"
            )
            found.append((problem, f"end {name}, and start it without --pid"))
    for problem, remedy in found:
        yield Problem(_name(container), problem, _ACCEPTED if is_accepted else remedy, is_accepted)


def _name(container: _Container) -> str:
    return f"container {container.name.lstrip('/')}"


def _accept_engine(around: Surroundings, agents: Sequence[str]) -> bool:
    """Whether the profiles of all `agents` accept an engine's socket in a container."""
    generations = {} if around.setup is None else around.setup.generations
    profiles = [generations[name].agent.profile for name in agents if name in generations]
    return len(profiles) == len(agents) and all(each.engine_socket for each in profiles)


def _list_containers(program: str) -> Sequence[_Container]:
    """The running containers; none if the engine fails, which `check_engine` reports."""
    try:
        names = _run((program, "ps", "--quiet", "--no-trunc")).stdout.decode(errors="replace")
        if not names.split():
            return ()
        # A container that ends meanwhile makes it fail, but the others are printed.
        inspected = _run((program, "inspect", "--type", "container", *names.split())).stdout
        return msgspec.json.decode(inspected, type=tuple[_Container, ...])
    except (OSError, subprocess.SubprocessError, msgspec.MsgspecError):
        return ()


def _read(pid: int, name: str) -> str:
    try:
        return read_process_file(pid, name, limit=_MAX) if pid else ""
    except OSError:
        return ""


def _list_agents(shown: Sequence[str], sockets_dir: str) -> list[str]:
    """The agents whose sockets are mounted; "" for all of them."""
    found: dict[str, None] = {}
    for path in shown:
        if is_within(sockets_dir, path):
            found[""] = None
        elif is_within(path, sockets_dir):
            inner = os.path.relpath(path, sockets_dir)
            name = inner.removeprefix(container_directory("")).split("/")[0]
            found[name.removesuffix(".sock")] = None
    return list(found)
