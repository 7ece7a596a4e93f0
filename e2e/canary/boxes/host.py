"""What runs on the host beside the daemon: servers, a process, and objects of IPC."""

import ctypes
import os
import resource
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

# linux/ipc.h, linux/shm.h.
_IPC_CREAT, _IPC_RMID, _IPC_PRIVATE = 0o1000, 0, 0
_ADD_KEY = {"x86_64": 248, "aarch64": 217}
_SESSION_KEYRING = -3

OPEN = "the server that is named"
"""What that says."""

_SYSTEM = ("kernel/core_pattern", "kernel/hostname", "vm/overcommit_memory")


class Host:
    """Servers that answer with a word, a process that has one, and what is in shared memory.

    `names` say where all of it is. It ends with the context of `running`.
    """

    def __init__(
        self, folder: Path, words: dict[str, str], user: int, port: int, stack: ExitStack
    ) -> None:
        """`user` is who the victim runs as: whoever is in the boxes. At `port` is a server that a
        module names, and whose connections are not counted.
        """
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._connections = 0
        self._user = user
        self.path = folder / "host.sock"
        self.abstract = f"airlock-{os.getpid()}-{folder.name}"
        bus, abstract_bus = folder / "bus", f"/tmp/dbus-{self.abstract}"  # noqa: S108
        self.names = {"unix": str(self.path), "abstract": self.abstract}
        self.names |= {"bus": str(bus), "abstract-bus": abstract_bus}
        self._serve(stack, socket.AF_INET, ("127.0.0.1", 0), words["tcp"])
        self._serve(stack, socket.AF_INET6, ("::1", 0), words["tcp"])
        self._serve(stack, socket.AF_INET, ("127.0.0.1", port), OPEN, is_counted=False)
        self._serve(stack, socket.AF_UNIX, str(self.path), words["unix socket"])
        self._serve(stack, socket.AF_UNIX, f"\0{self.abstract}", words["abstract socket"])
        # Where the desktop's bus is, over which systemd starts programs for whoever asks.
        self._serve(stack, socket.AF_UNIX, str(bus), words["unix socket"])
        self._serve(stack, socket.AF_UNIX, f"\0{abstract_bus}", words["abstract socket"])
        for path in (self.path, bus):
            path.chmod(0o666)
        self._start_victim(stack, words["process"], user)
        self._share_memory(stack, words["shared memory"])
        self._add_key(words["keyring"])
        self._before = self._look()

    def find_changes(self) -> Iterator[str]:
        """A line for each thing of the host that is not as it was the last time."""
        now = self._look()
        yield from (f"{name} became {now[name]}" for name in now if now[name] != self._before[name])
        self._before = now

    def _look(self) -> dict[str, object]:
        pid = self.victim.pid
        found: dict[str, object] = {"connections to servers of the host": self._connections}
        try:
            status = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            found["the victim"] = (
                # State, nice, limits, processors.
                *("stopped" if status[0] in "TtZ" else "runs", status[16]),
                resource.prlimit(pid, resource.RLIMIT_NOFILE),
                sorted(os.sched_getaffinity(pid)),
                os.sched_getscheduler(pid),
            )
        except OSError:
            found["the victim"] = "gone"
        for name in _SYSTEM:
            found[name] = Path("/proc/sys", name).read_text()
        for kind in ("shm", "msg", "sem"):
            lines = [
                line.split() for line in Path(f"/proc/sysvipc/{kind}").read_text().splitlines()
            ]
            column = lines[0].index("cuid")
            found[f"objects of {kind}"] = sum(line[column] == str(self._user) for line in lines)
        found["shared memory"] = self._memory.read_bytes() if self._memory.exists() else "gone"
        return found

    def _serve(
        self,
        stack: ExitStack,
        family: int,
        address: object,
        word: str,
        *,
        is_counted: bool = True,
    ) -> None:
        server = stack.enter_context(socket.socket(family, socket.SOCK_STREAM))
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind(address)  # type: ignore[arg-type]
        server.listen(64)
        if is_counted and family in (socket.AF_INET, socket.AF_INET6):
            name = "tcp" if family == socket.AF_INET else "tcp6"
            self.names[name] = str(server.getsockname()[1])
        thread = threading.Thread(target=self._answer, args=(server, word.encode(), is_counted))
        thread.start()
        stack.callback(thread.join)
        # Which ends its waiting.
        stack.callback(server.shutdown, socket.SHUT_RDWR)

    def _answer(self, server: socket.socket, word: bytes, is_counted: bool) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection, suppress(OSError):
                self._connections += is_counted
                connection.sendall(word)

    def _start_victim(self, stack: ExitStack, word: str, user: int) -> None:
        self.victim = subprocess.Popen(
            [word, "100000"],
            executable="/bin/sleep",
            env={"WORD": word},
            user=user,
            group=user,
            extra_groups=[],
            start_new_session=True,
        )
        stack.callback(self.victim.wait)
        stack.callback(self.victim.send_signal, signal.SIGKILL)
        self.names["victim"] = str(self.victim.pid)

    def _share_memory(self, stack: ExitStack, word: str) -> None:
        self._memory = Path("/dev/shm", self.abstract)  # noqa: S108 - what is attacked is there
        self._memory.write_text(word)
        self._memory.chmod(0o666)
        stack.callback(self._memory.unlink, missing_ok=True)
        self._libc.shmat.restype = ctypes.c_void_p
        number = self._libc.shmget(_IPC_PRIVATE, 4096, _IPC_CREAT | 0o666)
        if number < 0:
            raise OSError(ctypes.get_errno(), "shmget")
        stack.callback(self._libc.shmctl, number, _IPC_RMID, None)
        address = self._libc.shmat(number, None, 0)
        ctypes.memmove(address, word.encode(), len(word))
        self._libc.shmdt(ctypes.c_void_p(address))
        self.names |= {"shm": str(number), "memory": str(self._memory)}

    def _add_key(self, word: str) -> None:
        """What the daemon's session has: a child gets it, whoever it becomes."""
        data = word.encode()
        number = self._libc.syscall(
            _ADD_KEY[os.uname().machine],
            b"user",
            b"airlock-canary",
            data,
            len(data),
            _SESSION_KEYRING,
        )
        self.names["key"] = str(number)


@contextmanager
def running(folder: Path, words: dict[str, str], user: int, port: int) -> Iterator[Host]:
    """A host whose servers listen and whose processes run."""
    with ExitStack() as stack:
        yield Host(folder, words, user, port, stack)
