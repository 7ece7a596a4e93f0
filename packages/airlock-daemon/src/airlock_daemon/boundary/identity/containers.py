"""Proves containers: the engine names the init process, the kernel compares namespaces.

Engines are asked by their command lines.
"""

import errno
import fcntl
import os
import select
import shutil
import sys

import msgspec
import trio

from airlock_daemon.boundary.identity.engine_info import EngineInfo
from airlock_daemon.boundary.identity.peer import (
    MAX_MOUNTINFO,
    Peer,
    containers_in,
    read_pids,
    same_namespace,
    too_many_mounts,
)
from airlock_daemon.errors import AND_RELOAD, Denied, Failed
from airlock_daemon.platform.system import MountTable, read_process_entry, read_process_file
from airlock_daemon.setup.generation import Generation
from airlock_wire import quote

# Their command lines, in query order.
_ENGINES = ("docker", "podman", "nerdctl")
_ANSWER_S = 10
_ANY = {"MKNOD", "ALL"}

_RETRY_S = 5.0
_KEPT = 256

_START = "start the container, and run the command in it again"


class _State(msgspec.Struct):
    pid: int = msgspec.field(name="Pid")


class _HostConfig(msgspec.Struct):
    added: tuple[str, ...] | None = msgspec.field(name="CapAdd", default=None)
    dropped: tuple[str, ...] | None = msgspec.field(name="CapDrop", default=None)
    is_privileged: bool = msgspec.field(name="Privileged", default=False)


class _Container(msgspec.Struct):
    """The part of `docker inspect` and its equivalents on identity and devices."""

    container_id: str = msgspec.field(name="Id")
    state: _State = msgspec.field(name="State")
    host: _HostConfig = msgspec.field(name="HostConfig", default_factory=_HostConfig)


class Init(msgspec.Struct, frozen=True):
    """A container's init process: its pid, and whether the engine lets root make devices.

    Asked of the engine, since the container's root can change what its processes show in /proc.
    """

    pid: int
    makes_devices: bool


class Container:
    """A container whose init process the engine named; a pidfd notices when that ends.

    `joins_processes`: it was started in the pid namespace of another container.
    """

    def __init__(self, container_id: str, init: Init) -> None:
        """Raises Failed if the process `init` does not exist any more."""
        self.container_id = container_id
        self.pid = init.pid
        self.makes_devices = init.makes_devices
        if self.pid <= 0:
            raise Failed(f"container {self.container_id[:12]} is not running", hint=_START)
        try:
            self._pidfd = _open_process(self.pid)
        except OSError as error:
            raise _ended(self.container_id) from error
        self.joins_processes = self._find_joined()
        self._text = ""
        self._rows = MountTable()

    def _find_joined(self) -> bool:
        """Whether the container shares the pid namespace of another one.

        A namespace's init process has pid 1 in it. The engine may report a pid of another host, so
        the process only counts if its cgroup is that of the container.
        """
        try:
            status, cgroup = (read_process_entry(self.pid, name) for name in ("status", "cgroup"))
        except OSError:
            # It has just ended, which its users notice.
            return False
        is_ours = self.container_id in containers_in(cgroup)
        return is_ours and read_pids(status)[-1:] != ["1"]

    def is_alive(self) -> bool:
        """Whether the init process still runs, so that its pid still refers to it."""
        poll = select.poll()
        poll.register(self._pidfd, select.POLLIN)
        return not poll.poll(0)

    def mounts(self) -> MountTable:
        """The current mounts of the init process. Raises Failed if it has ended."""
        text = self.read_mountinfo()
        if text != self._text:
            self._text, self._rows = text, MountTable.parse(text)
        return self._rows

    def read_mountinfo(self) -> str:
        """The current mountinfo text of the init process.

        Raises Failed if it has ended, Denied if it has more than MAX_MOUNTINFO.
        """
        try:
            text = read_process_file(self.pid, "mountinfo", limit=MAX_MOUNTINFO)
        except OSError as error:
            if error.errno == errno.EFBIG:
                raise too_many_mounts() from error
            text = ""
        if not text or not self.is_alive():
            raise _ended(self.container_id)
        return text

    def proves(self, peer: Peer) -> bool:
        """Whether `peer` is in the mount namespace of the init process."""
        rows = self.mounts()
        return peer.mountinfo == self._text or (
            same_namespace(peer.mountinfo, self._text) and bool(rows)
        )

    def close(self) -> None:
        """Close the pidfd."""
        os.close(self._pidfd)


def _open_process(pid: int) -> int:
    """A pidfd for the caller to close. Raises OSError if there is no such process."""
    if sys.platform == "linux":
        return os.pidfd_open(pid)
    # Elsewhere containers are in a virtual machine: the pid is not one of this system.
    raise ProcessLookupError


def _ended(container_id: str) -> Failed:
    return Failed(f"container {container_id[:12]} has just ended", hint=_START)


class Containers:
    """The looked-up containers by id; the engine is asked once per container."""

    def __init__(self, search_path: str) -> None:
        """`search_path` is the PATH for the engine's command line."""
        self._search_path = search_path
        self._known: dict[str, Container] = {}
        self._failed: dict[str, tuple[float, Failed]] = {}
        # One lock per agent: a slow lookup must not delay others.
        self._asking: dict[str, trio.Lock] = {}
        self._elsewhere: tuple[str | None, ...] = ()
        self._looking = trio.Lock()

    def adopt(self, search_path: str) -> None:
        """Use another PATH for the engine, and forget failures."""
        self._search_path = search_path
        self._failed.clear()
        self._elsewhere = ()

    async def attest(self, peer: Peer, *, agent: str) -> Container:
        """Prove the container that the cgroup of the peer, a client of `agent`, names.

        Raises Failed if the engine cannot tell, Denied if the peer is not in that container.
        """
        container = await self.find(peer, agent=agent)
        if not container.proves(peer):
            raise Denied(
                "the client is not in the mount namespace of the container that its cgroup names",
                layer="workspace",
                rule="mount-namespace",
                hint="run the command from the container's ordinary processes",
            )
        return container

    async def proves(self, peer: Peer, *, agent: str) -> bool:
        """Whether `attest` can prove the container of the peer."""
        try:
            await self.attest(peer, agent=agent)
        except (Failed, Denied):
            return False
        return True

    async def refuse_engine_socket(self, peer: Peer, generation: Generation) -> None:
        """As `engine_sockets.refuse_engine_socket`, for a client of the generation's agent."""
        from airlock_daemon.boundary.identity.engine_sockets import (  # noqa: PLC0415
            refuse_engine_socket,
        )

        await refuse_engine_socket(
            peer,
            agent=generation.agent.name,
            profile_file=generation.agent.profile_file,
            sockets_dir=generation.reserved.sockets_dir,
            containers=self,
        )

    async def find(self, peer: Peer, *, agent: str) -> Container:
        """Find the container that the peer's cgroup names, unproven.

        Raises Failed if the engine cannot tell.
        """
        if peer.container is None:
            raise Failed(
                "the client's cgroup names no container",
                hint="run the command in a container of Docker, which can be asked for its mounts",
            )
        container = self._known.get(peer.container)
        if container is None or not container.is_alive():
            async with self._asking.setdefault(agent, trio.Lock()):
                container = self._known.get(peer.container)
                if container is None or not container.is_alive():
                    container = await self._ask(peer.container)
        return container

    async def find_elsewhere(self) -> str | None:
        """As `engines.find_elsewhere`, asked once until `adopt`."""
        if self._elsewhere:
            # Taking the lock, even a free one, costs a round of the event loop.
            return self._elsewhere[0]
        async with self._looking:
            if not self._elsewhere:
                self._elsewhere = (await find_elsewhere(self._search_path),)
            return self._elsewhere[0]

    async def _ask(self, container_id: str) -> Container:
        failed = self._failed.get(container_id)
        if failed is not None and trio.current_time() - failed[0] < _RETRY_S:
            raise failed[1]
        self._forget_ended()
        try:
            init = await find_init(container_id, search_path=self._search_path)
            container = Container(container_id, init)
        except Failed as error:
            self._failed[container_id] = (trio.current_time(), error)
            raise
        # Another agent may have looked it up meanwhile.
        before = self._known.pop(container_id, None)
        if before is not None:
            before.close()
        self._known[container_id] = container
        return container

    def _forget_ended(self) -> None:
        now = trio.current_time()
        self._failed = {k: v for k, v in self._failed.items() if now - v[0] < _RETRY_S}
        for container_id, container in list(self._known.items()):
            if not container.is_alive() or len(self._known) >= _KEPT:
                container.close()
                del self._known[container_id]

    def close(self) -> None:
        """Close all pidfds."""
        for container in self._known.values():
            container.close()
        self._known.clear()

    @staticmethod
    def holds_devices(pid: int | None) -> bool:
        """Whether root of the container of `pid` can make devices that the daemon can open.

        True if unknown, but not on macOS: the devices of a virtual machine are not the host's. A
        daemon in a pid namespace of its own is in a container, whose engine limits the devices that
        can be opened there.
        """
        if sys.platform != "linux":
            return False
        if os.stat("/proc/self/ns/pid").st_ino != _FIRST_PIDS:
            return False
        if pid is None:
            return True
        try:
            return _find_owner(pid) == _FIRST_USERS
        except OSError:
            return True


# Making such devices needs CAP_MKNOD in the initial user namespace, which no process has in a pid
# namespace that another user namespace owns (pid_namespaces(7), ioctl_ns(2)).

# Fixed inodes of the initial namespaces (include/linux/proc_ns.h of the kernel).
_FIRST_PIDS, _FIRST_USERS = 0xEFFFFFFC, 0xEFFFFFFD
_NS_GET_USERNS, _NS_GET_PARENT = 0xB701, 0xB702


def _find_owner(pid: int) -> int:
    """The user namespace that owns the outermost pid namespace of `pid` below the initial one.

    Namespaces that the container's processes create lie further in. Raises OSError.
    """
    namespace = os.open(f"/proc/{pid}/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
    try:
        while True:
            above = fcntl.ioctl(namespace, _NS_GET_PARENT)
            if os.fstat(above).st_ino == _FIRST_PIDS:
                os.close(above)
                break
            os.close(namespace)
            namespace = above
        owner = fcntl.ioctl(namespace, _NS_GET_USERNS)
    finally:
        os.close(namespace)
    try:
        return os.fstat(owner).st_ino
    finally:
        os.close(owner)


async def find_init(container_id: str, *, search_path: str) -> Init:
    """Ask each engine for the init process of `container_id`, 64 hex digits, until one knows it.

    The pid is 0 if the container is not running. Raises Failed if no engine is installed, answers,
    or knows the container.
    """
    failures = []
    for engine in _ENGINES:
        program = shutil.which(engine, path=search_path)
        if program is not None:
            try:
                return await _ask(engine, program, container_id)
            except Failed as failure:
                failures.append(failure)
    if not failures:
        raise Failed(
            f"none of {', '.join(_ENGINES)} is on the daemon's PATH, so that no container can be "
            "looked up",
            hint="a person on the host can install that of the engine, or set [daemon] path in "
            f"config.toml{AND_RELOAD}",
        )
    raise failures[0]


async def _ask(engine: str, program: str, container_id: str) -> Init:
    argv = [program, "inspect", "--type", "container", container_id]
    look = (
        f"a person on the host can see as the user of the daemon what {engine} answers: {engine} ps"
    )
    try:
        with trio.fail_after(_ANSWER_S):
            done = await trio.run_process(
                argv, capture_stdout=True, capture_stderr=True, check=False, stdin=b""
            )
    except trio.TooSlowError:
        raise Failed(f"{engine} did not answer in {_ANSWER_S} s", hint=look) from None
    except OSError as error:
        raise Failed(f"{engine} cannot be run: {error.strerror}", hint=look) from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise Failed(
            f"{engine} does not know container {container_id[:12]}: "
            f"{quote(said[-1]) if said else 'it does not say why'}",
            hint="the daemon must be able to ask the engine that runs the container, as its user: "
            f"{engine} inspect {container_id[:12]}",
        )
    try:
        (container,) = msgspec.json.decode(done.stdout, type=tuple[_Container])
    except (msgspec.MsgspecError, ValueError) as error:
        raise Failed(
            f"{engine} inspect answered something else than a container: {error}", hint=look
        ) from error
    if container.container_id != container_id:
        raise Failed(f"{engine} answered for another container", hint=look)
    return Init(container.state.pid, _makes_devices(container.host))


def _makes_devices(host: _HostConfig) -> bool:
    added, dropped = _name(host.added), _name(host.dropped)
    return host.is_privileged or bool(added & _ANY) or not dropped & _ANY


def _name(capabilities: tuple[str, ...] | None) -> set[str]:
    return {each.upper().removeprefix("CAP_") for each in capabilities or ()}


_TIMEOUT_S = 5.0


async def find_elsewhere(search_path: str) -> str | None:
    """Ask the first engine that answers on `search_path` where its containers run.

    None if on this kernel, or if no engine tells.
    """
    for engine in _ENGINES:
        program = shutil.which(engine, path=search_path)
        if program is None:
            continue
        try:
            with trio.fail_after(_TIMEOUT_S):
                done = await trio.run_process(
                    (program, "info", "--format", "{{json .}}"),
                    stdin=b"",
                    capture_stdout=True,
                    capture_stderr=True,
                    check=False,
                )
            info = msgspec.json.decode(done.stdout, type=EngineInfo)
        except (OSError, trio.TooSlowError, msgspec.MsgspecError):
            continue
        if info.kernel or info.version:
            return info.explain_elsewhere()
    return None
