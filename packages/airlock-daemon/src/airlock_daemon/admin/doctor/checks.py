"""The table of `doctor`'s checks, and those of the daemon and what it uses.

Those of boxes are in `boxes`, those of the container engine in `containers`.
"""

import os
import shlex
import socket
import stat
import struct
import sys
from collections.abc import Callable, Iterator

import msgspec

from airlock_daemon.admin.doctor import boxes
from airlock_daemon.admin.doctor.containers import (
    check_bridges,
    check_doors,
    check_engine,
    check_kernel,
)
from airlock_daemon.admin.doctor.engine_versions import check_engine_networks, check_engine_versions
from airlock_daemon.admin.doctor.surroundings import Note, Problem, Surroundings
from airlock_daemon.admin.listening import connect, find_silence, is_locked, is_served, list_sockets
from airlock_daemon.admin.migrate import advise
from airlock_daemon.admin.service.manager import find_manager
from airlock_daemon.files import Finding, read_exact
from airlock_daemon.setup.checking import find_unusable
from airlock_daemon.setup.generation import (
    MADE_BY_DOCKER,
    NAMES,
    PUBLISHED,
    Programs,
    list_deciding,
    name_user,
)
from airlock_daemon.setup.status import DaemonStatus

_RELOAD = "airlock reload"

_LEAST_MB = 16
_LEAST_FILES = 64

_AGENT_SOCKET = "SSH_AUTH_SOCK"
_AGENT_ANSWER_S = 5
_REQUEST_IDENTITIES = struct.pack(">IB", 1, 11)
_IDENTITIES_ANSWER = 12
_IDENTITIES_HEADER = struct.Struct(">IBI")


class Check(msgspec.Struct, frozen=True):
    """A row of the table: the name of its findings, the desired state, and the check."""

    name: str
    what: str
    look: Callable[[Surroundings], Iterator[Problem]]

    def run(self, around: Surroundings) -> Iterator[Finding]:
        """Yield the check's findings under its name."""
        for each in self.look(around):
            yield Finding(
                each.source, "", each.problem, each.remedy, name=self.name, is_note=each.is_note
            )


def _check_layout(around: Surroundings) -> Iterator[Problem]:
    advice = advise(around.locations)
    if advice is not None:
        found = advice.finding
        yield Problem(found.source, found.problem, found.remedy, found.is_note)


def _check_daemon(around: Surroundings) -> Iterator[Problem]:
    directory = around.locations.sockets_dir
    silence = find_silence(directory)
    if silence is not None:
        remedy = "airlock init, or keep running: airlock start --agents FILE"
        if is_locked(directory):
            remedy = "look at its messages: journalctl --user -u airlock; and restart it"
        yield Problem(directory, silence, remedy)
    elif around.status is None:
        problem = "is served by a daemon of another configuration, another user or another release"
        yield Problem(
            directory, problem, "name that configuration by --config, or stop that daemon"
        )


def _check_files(around: Surroundings) -> Iterator[Problem]:
    """The files have faults, the last reload failed, or files have changed since then."""
    locations, setup, status = around.locations, around.setup, around.status
    if setup is None:
        problem = "the files have faults, so that the daemon would not start with them"
        yield Problem(locations.config_file, problem, "airlock check")
    if status is None:
        return
    if status.reload is not None and status.reload.faults:
        fault = status.reload.faults[0]
        problem = f"the last reload failed, so that what was read before counts: {fault}"
        yield Problem(locations.config_dir, problem, f"airlock check, then: {_RELOAD}")
    try:
        read_at = os.stat(os.path.join(locations.sockets_dir, DaemonStatus.FILE)).st_mtime_ns
    except FileNotFoundError:
        # The daemon has ended meanwhile.
        return
    agents = () if setup is None else setup.agents
    for path in list_deciding(
        (locations.config_file, locations.agents),
        locations.modules_dir,
        [agent.directory for agent in agents],
    ):
        try:
            changed_at = os.lstat(path).st_ctime_ns
        except OSError:
            # It does not exist.
            continue
        if changed_at > read_at:
            problem = "has changed since the running daemon last read its files"
            yield Problem(path, problem, _RELOAD)


def _check_service(_around: Surroundings) -> Iterator[Problem]:
    manager = find_manager()
    obstacle = manager.find_obstacle()
    if obstacle is not None:
        remedy = obstacle.remedy or "keep running: airlock start --agents FILE"
        yield Note("the service manager", f"cannot be used: {obstacle.reason}", remedy)
    elif read_exact(manager.file) is None:
        problem = "is not installed: nothing starts the daemon again"
        yield Note(manager.file, problem, "airlock init")
    elif not manager.is_running():
        remedy = "airlock check, then: airlock init"
        if manager.inspection:
            remedy = f"{manager.inspection}, and {remedy}"
        yield Problem(manager.file, "is installed, and does not run", remedy)


def _check_linger(around: Surroundings) -> Iterator[Problem]:
    manager = find_manager()
    limit = manager.find_session_limit(around.root)
    if limit is not None and read_exact(manager.file) is not None:
        yield Problem(manager.file, limit.reason, limit.remedy)


def _check_sockets(around: Surroundings) -> Iterator[Problem]:
    """Directories that docker made, sockets of other users, and sockets without a listener."""
    directory = around.locations.sockets_dir
    for fault in find_unusable(directory):
        yield Problem(fault.source, fault.problem, fault.remedy)
    for path in _list_directories(directory):
        # Like the daemon: an empty one is removed, a full one is for a person to examine.
        is_full = not os.access(path, os.R_OK) or bool(os.listdir(path))
        quoted = shlex.quote(path)
        remove = f"look at what is in it, then: rm -r {quoted}" if is_full else f"rmdir {quoted}"
        yield Problem(
            path,
            f"is a directory and no socket: {MADE_BY_DOCKER}",
            f"{remove} (with sudo if it belongs to root), and start the container again",
        )
    for path in list_sockets(directory):
        owner = os.lstat(path).st_uid
        quoted = shlex.quote(path)
        if owner != os.geteuid():
            problem = f"belongs to {name_user(owner)}, whose program would get what clients send"
            yield Problem(path, problem, f"sudo rm {quoted}")
        elif not is_served(path):
            problem = "is left over: the daemon was killed, or its service stopped"
            remedy = f"start the daemon, which replaces those of its agents, or: rm {quoted}"
            yield Note(path, problem, remedy)


def _list_directories(directory: str) -> Iterator[str]:
    """The directories at a socket's path."""
    if not os.path.isdir(directory) or not os.access(directory, os.R_OK | os.X_OK):
        return
    for name in sorted(os.listdir(directory)):
        path = os.path.join(directory, name)
        for each in (path, *(os.path.join(path, inner) for inner in NAMES)):
            if (
                each.endswith(".sock")
                and os.path.lexists(each)
                and stat.S_ISDIR(os.lstat(each).st_mode)
            ):
                yield each


def _check_certificates(around: Surroundings) -> Iterator[Problem]:
    """The HTTPS broker has not published what containers of an agent with APIs need."""
    if around.setup is None or around.status is None:
        return
    for name, generation in around.setup.generations.items():
        paths = [os.path.join(around.locations.sockets_dir, name, each) for each in PUBLISHED]
        missing = next((each for each in paths if not os.path.exists(each)), None)
        if generation.apis and missing is not None:
            problem = f"is not there, so that the containers of {name} cannot use its APIs"
            remedy = f"{_RELOAD}, and see what the daemon's log says of it"
            yield Problem(missing, problem, remedy)


def _check_disks(around: Surroundings) -> Iterator[Problem]:
    """A disk that the daemon writes is full for its user, or nearly.

    A request whose record cannot be written is refused.
    """
    temporary = around.daemon_environment.get("TMPDIR", "/tmp")  # noqa: S108 - where it would be
    written = {
        around.locations.sockets_dir: "sockets and the status file of the daemon",
        temporary: "the temporary files of commands",
    }
    if around.setup is not None and (log := around.setup.config.log.path) != "-":
        written[os.path.dirname(log)] = "the audit log, without which every request is refused"
    for path, what in written.items():
        try:
            room = os.statvfs(path)
        except OSError:
            # It is created on demand, or another check reports it.
            continue
        megabytes = room.f_bavail * room.f_frsize >> 20
        left = f"{megabytes} MB" if megabytes < _LEAST_MB else ""
        if not left and room.f_files and room.f_favail < _LEAST_FILES:
            left = f"room for {room.f_favail} files"
        if left:
            problem = f"is on a disk with {left} left; there go {what}"
            yield Problem(path, problem, f"make room: df -h {path}")


def _check_tools(around: Surroundings) -> Iterator[Problem]:
    path = around.daemon_path
    for module in around.list_modules():
        # A command that uses APIs may be run by the image's own tool.
        if not module.uses_apis and Programs(path).find(module.bin) is None:
            seen = Programs(around.environment.get("PATH", os.defpath)).find(module.bin)
            problem = f"is not an executable on the daemon's PATH ({path})"
            if seen:
                problem += f", though your shell finds {seen}"
            yield Problem(module.bin, problem, _prefer(seen, path) if seen else "install it")


def _check_shell_path(around: Surroundings) -> Iterator[Problem]:
    path, shell_path = around.daemon_path, around.environment.get("PATH", os.defpath)
    for module in around.list_modules():
        ours, theirs = (Programs(each).find(module.bin) for each in (path, shell_path))
        if ours and theirs and os.path.realpath(ours) != os.path.realpath(theirs):
            problem = f"is {ours} for the daemon, and {theirs} in your shell"
            yield Note(module.bin, problem, f"if it should be yours: {_prefer(theirs, path)}")


def _prefer(program: str, path: str) -> str:
    return f'set [daemon] path = "{os.path.dirname(program)}:{path}" in config.toml'


def _check_ssh_agent(around: Surroundings) -> Iterator[Problem]:
    if not any(_AGENT_SOCKET in module.inherit for module in around.list_modules()):
        return
    path = around.daemon_environment.get(_AGENT_SOCKET)
    if sys.platform != "linux":
        from airlock_daemon.platform.system import find_ssh_agent  # noqa: PLC0415 - for macOS

        path = find_ssh_agent(around.daemon_environment)
    mine = around.environment.get(_AGENT_SOCKET)
    again = "airlock init, or start the daemon again, from a shell that has it"
    if not path:
        problem = "is not set for the daemon: keys that have a passphrase cannot be used"
        yield Note(_AGENT_SOCKET, problem, f"start ssh-agent, then: {again}")
        return
    count = _count_keys(path)
    if count is None:
        problem = "is what the daemon has as SSH_AUTH_SOCK, and no agent answers there"
        yield Problem(path, problem, again)
    elif count == 0:
        yield Note(path, "is an agent without keys", "ssh-add")
    if mine and os.path.realpath(mine) != os.path.realpath(path):
        problem = f"is the daemon's agent, and your shell has another one ({mine})"
        yield Note(path, problem, f"if it should be yours: {again}")


def _count_keys(path: str) -> int | None:
    """The number of keys of the ssh-agent at the socket `path`; None if none answers.

    Protocol: draft-ietf-sshm-ssh-agent.
    """
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as connection:
        connection.settimeout(_AGENT_ANSWER_S)
        try:
            if not connect(connection, path):
                return None
            connection.sendall(_REQUEST_IDENTITIES)
            answer = connection.recv(_IDENTITIES_HEADER.size, socket.MSG_WAITALL)
            _, kind, count = _IDENTITIES_HEADER.unpack(answer)
        except (OSError, struct.error):
            return None
    return int(count) if kind == _IDENTITIES_ANSWER else None


def _check_selinux(around: Surroundings) -> Iterator[Problem]:
    enforce = "/sys/fs/selinux/enforce"
    if around.read(enforce) == "1":
        problem = "is 1: containers are refused the agent's socket, and unlabelled directories"
        remedy = "docker run --security-opt label=disable, for containers of agents"
        yield Note(enforce, problem, remedy)


CHECKS = (
    Check("layout", "the files are of this release, and no earlier one", _check_layout),
    Check("daemon", "a daemon serves this configuration, and answers", _check_daemon),
    Check("files", "it has read the files as they are now", _check_files),
    Check("service", "a service manager starts the daemon", _check_service),
    Check("linger", "it does so without a session of the user", _check_linger),
    Check("sockets", "the sockets directory is as the daemon needs it", _check_sockets),
    Check(
        "certificates",
        "containers have what makes them trust the HTTPS broker",
        _check_certificates,
    ),
    Check("disk", "there is room where the daemon writes", _check_disks),
    Check("tools", "the programs of enabled commands are on the daemon's PATH", _check_tools),
    Check("shell-path", "the caller's shell would run the same programs", _check_shell_path),
    Check("ssh-agent", "the daemon's ssh-agent answers, and has keys", _check_ssh_agent),
    Check("engine", "the container engine answers", check_engine),
    Check("engine-version", "the engine and runc have no known hole", check_engine_versions),
    Check("engine-network", "docker containers stay off this host", check_engine_networks),
    Check("doors", "no container of an agent has a way out beside Airlock's", check_doors),
    Check("docker-desktop", "containers run on this kernel", check_kernel),
    Check("bridge", "the bridges of agents in a virtual machine run", check_bridges),
    Check("selinux", "containers may connect to sockets of the host", _check_selinux),
    Check("bubblewrap", "a box can be made for a tool", boxes.check_bubblewrap),
    Check("container", "its engine lets a box be made in it", boxes.check_container),
    Check("user-namespaces", "the kernel lets users have namespaces", boxes.check_user_namespaces),
    Check("apparmor", "AppArmor lets a box have them too", boxes.check_apparmor),
    Check("cgroups", "the boxes of an agent together are bounded", boxes.check_cgroups),
)


def run_checks(around: Surroundings) -> Iterator[Finding]:
    """Run every check, and yield the findings."""
    for check in CHECKS:
        yield from check.run(around)
