"""Starts tools and ends them with their commands, by calls of POSIX alone; a process of its own.

    python -m airlock_daemon.platform.posix.spawner SERVICE_FD

It stands for the native launcher where that cannot run, and decides nothing. SERVICE_FD is one end
of a pair of stream sockets. Each byte there begins a command, and comes with its control socket,
its directory, and its stdin, stdout and stderr, then the descriptors that it keeps. The control
socket carries, numbers in little-endian:

- to this process, the order: the lengths of HEADER, then the strings, each with a zero byte:
  program, arguments, variables. After it, two bytes at a time, a letter and a signal: `S` sends it
  to the tool's process group; `E` ends the command: the signal to all of its processes, SIGKILL to
  the rest after GRACE_S, and with SIGKILL at once. Closing it means `E` with SIGHUP.
- to the daemon, a REPORT: `A` as soon as the descriptors are here (until then macOS may drop
  sockets that their sender closes); `P` with the tool's pid, which is its session's, sent by the
  child itself, so that the daemon can end the session if this process is killed; then `O` with a
  wait(2) status if the tool ended and left nothing; `X` if it left processes, which are ended as by
  `E`, and then `G`; or `F`, `D`, `N` with an errno if it could not be executed, its directory not
  entered, or something else not be set up. The socket is closed when all of the command's
  processes have ended.

A command's processes are those of its tool's session: a tool is made the leader of one. Without
subreapers there is no way to find a process that has left it (setsid(2)), or that is always gone
before it is looked at, each time into a process group of its own (fork(2), setpgid(2)).
"""

import errno
import fcntl
import os
import resource
import select
import signal
import socket
import struct
import sys
import termios
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress

HEADER = struct.Struct("<5IQ")
"""Length of the strings; count of arguments and variables; terminal (a sum: 1 stdin, 2 stdout, 4
stderr); how many descriptors are kept; soft limit of open files."""

REPORT = struct.Struct("<cxxxi")

FIXED = 5
"""The descriptors that each command has."""

MAX_KEPT = 57

GRACE_S = 2.0

# While processes are left over, how often it is looked whether they have ended: they are init's
# children, so that nothing tells.
_TICK_S = 0.01

_READ = 65536

# Of all processes, to kill those of one session: each may have started another meanwhile.
_PASSES = 50

_FAILED = struct.Struct("<ci")

# macOS's Python has it since 3.13. Without it, whoever learns of a child's end frees its pid.
_waitid = getattr(os, "waitid", None)


class _Command:
    """One command, from its descriptors until the last of its processes has ended."""

    def __init__(self, descriptors: Sequence[int], list_pids: Callable[[], Sequence[int]]) -> None:
        self.control = socket.socket(fileno=descriptors[0])
        self.control.setblocking(False)
        self.descriptors = list(descriptors[1:])
        self.failure: int | None = None
        self.pid = 0
        self.is_done = False
        self.kill_at: float | None = None
        self._list_pids = list_pids
        self._text = bytearray()
        self._is_over = False
        self._is_closed = False
        self.report(b"A", 0)

    @property
    def wants_ticks(self) -> bool:
        """Whether its processes are ended at present."""
        return self.kill_at is not None

    def report(self, kind: bytes, value: int) -> None:
        """Send a report; nobody may be there to read it."""
        with suppress(OSError):
            self.control.send(REPORT.pack(kind, value))

    def read(self) -> None:
        """Read the order, or what the daemon says of the running command."""
        try:
            data = self.control.recv(_READ)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._is_closed = True
        self._text += data
        if self.pid or self._is_closed or self._start():
            self._obey()

    def _obey(self) -> None:
        """Do what the daemon has said, once the tool has its session and its program."""
        if self.failure is not None:
            return
        while len(self._text) >= 2 and self.pid:
            letter, number = bytes(self._text[:1]), self._text[1]
            del self._text[:2]
            if letter == b"S":
                self._signal_group(number)
            else:
                self._end(number if letter == b"E" else signal.SIGHUP)
        if self._is_closed:
            self._end(signal.SIGHUP)

    @property
    def is_closed(self) -> bool:
        """Whether the daemon has closed the control socket."""
        return self._is_closed

    def read_failure(self) -> None:
        """Read what the child says if it cannot become the tool; nothing means that it has."""
        assert self.failure is not None  # noqa: S101 - the caller found it ready
        data = os.read(self.failure, _FAILED.size)
        os.close(self.failure)
        self.failure = None
        if len(data) == _FAILED.size:
            self.report(*_FAILED.unpack(data))
            self._is_over = True
            os.waitpid(self.pid, 0)
            self.is_done = True
        else:
            self._obey()

    def look(self) -> None:
        """See whether the tool and all that it left have ended."""
        if not self.pid or self.is_done or self.failure is not None:
            return
        if not self._is_over and (status := _find_end(self.pid)) is not None:
            self._is_over = True
            if self._has_ended():
                _reap(self.pid)
                self.report(b"O", status)
                self.is_done = True
                return
            self.report(b"X", status)
            if self.kill_at is None:
                self._end(signal.SIGHUP)
        if self.kill_at is not None and time.monotonic() >= self.kill_at:
            self._signal_all(signal.SIGKILL)
        if self._is_over and self._has_ended():
            _reap(self.pid)
            self.report(b"G", 0)
            self.is_done = True

    def close(self) -> None:
        """Close every descriptor."""
        self.control.close()
        for descriptor in (*self.descriptors, *(() if self.failure is None else (self.failure,))):
            os.close(descriptor)
        self.descriptors.clear()

    def _start(self) -> bool:
        """Start the tool once the order is complete; returns whether it was."""
        if len(self._text) < HEADER.size:
            return False
        size, arguments, variables, terminal, kept, nofile = HEADER.unpack_from(self._text)
        if len(self._text) < HEADER.size + size:
            return False
        words = bytes(self._text[HEADER.size : HEADER.size + size]).split(b"\0")
        del self._text[: HEADER.size + size]
        if len(words) != arguments + variables + 2 or len(self.descriptors) != FIXED - 1 + kept:
            self.report(b"N", errno.EINVAL)
            self.is_done = True
            return False
        argv = words[1 : arguments + 1]
        variable_words = words[arguments + 1 : arguments + variables + 1]
        pairs = (word.partition(b"=") for word in variable_words)
        environment = {name: value for name, _, value in pairs}
        self.failure, tell = os.pipe()
        try:
            self.pid = os.fork()
        except OSError as error:
            os.close(tell)
            self.report(b"N", error.errno or errno.EAGAIN)
            self.is_done = True
            return False
        if not self.pid:
            _become(
                *(words[0], argv, environment, self.descriptors, terminal, nofile),
                control=self.control,
                tell=tell,
            )
        os.close(tell)
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors.clear()
        return True

    def _end(self, number: int) -> None:
        if not self.pid:
            self.is_done = True
            return
        if self.kill_at is None or number == signal.SIGKILL:
            self.kill_at = time.monotonic() + (0 if number == signal.SIGKILL else GRACE_S)
            self._signal_all(number)

    def _signal_group(self, number: int) -> None:
        # As long as the tool is a zombie, no other group can have its number.
        if not self._is_over or _waitid is not None:
            with suppress(OSError):
                os.killpg(self.pid, number)

    def _signal_all(self, number: int) -> None:
        # The group first, at once; then groups of its session, as a shell's jobs are.
        self._signal_group(number)
        for group in _find_groups(self._members(), self.pid):
            with suppress(OSError):
                os.killpg(group, number)
                # A stopped process would not end by anything but SIGKILL.
                os.killpg(group, signal.SIGCONT)

    def _has_ended(self) -> bool:
        """Whether nothing is left of the tool that has ended.

        A process that is there only until it has started the next is easily missed; a signal to a
        group misses none of it.
        """
        if self._members():
            return False
        self._signal_group(signal.SIGKILL)
        return not self._members()

    def _members(self) -> list[int]:
        """The processes of the tool's session, without the tool itself once it has ended."""
        members = _list_session(self.pid, self._list_pids())
        return [pid for pid in members if not (self._is_over and pid == self.pid)]


def kill_session(leader: int) -> None:
    """Kill all processes of a session, for which no launcher exists any more.

    Call it at once: when all of them have ended, another session may get the number `leader`.
    """
    for _ in range(_PASSES):
        members = _list_session(leader, list_all())
        if not members:
            return
        for group in _find_groups(members, leader):
            with suppress(OSError):
                os.killpg(group, signal.SIGKILL)


def _find_end(pid: int) -> int | None:
    """A child's wait(2) status if it has ended. It stays a zombie if this Python has waitid(2).

    As long as it does, no other process gets its pid, nor its session's.
    """
    if _waitid is None:
        found, status = os.waitpid(pid, os.WNOHANG)
        return status if found else None
    told = _waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
    if told is None:
        return None
    if told.si_code == os.CLD_EXITED:
        return int(told.si_status) << 8
    return int(told.si_status) | (0x80 if told.si_code == os.CLD_DUMPED else 0)


def _reap(pid: int) -> None:
    with suppress(ChildProcessError):
        os.waitpid(pid, os.WNOHANG)


def _become(
    program: bytes,
    argv: Sequence[bytes],
    environment: dict[bytes, bytes],
    descriptors: Sequence[int],
    terminal: int,
    nofile: int,
    *,
    control: socket.socket,
    tell: int,
) -> None:
    """Become the tool, in the child; never returns."""
    stage = b"N"
    try:
        os.setsid()
        with suppress(OSError):
            control.send(REPORT.pack(b"P", os.getpid()))
        signal.set_wakeup_fd(-1)
        for number in (signal.SIGCHLD, signal.SIGPIPE, signal.SIGXFSZ):
            signal.signal(number, signal.SIG_DFL)
        # Out of the way of the numbers that the tool gets.
        count = len(descriptors) - 1
        held = [fcntl.fcntl(each, fcntl.F_DUPFD_CLOEXEC, 3 + count) for each in descriptors]
        tell = fcntl.fcntl(tell, fcntl.F_DUPFD_CLOEXEC, 3 + count)
        for standard, descriptor in enumerate(held[1:]):
            os.dup2(descriptor, standard)
        if terminal:
            fcntl.ioctl((terminal & -terminal).bit_length() - 1, termios.TIOCSCTTY, 0)
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        stage = b"D"
        os.fchdir(held[0])
        stage = b"N"
        resource.setrlimit(resource.RLIMIT_NOFILE, (nofile, hard))
        stage = b"F"
        os.execve(program, list(argv), environment)
    except OSError as error:
        os.write(tell, _FAILED.pack(stage, error.errno or errno.EINVAL))
    except BaseException:  # noqa: BLE001 - the child must never run the parent's loop
        os.write(tell, _FAILED.pack(stage, errno.EINVAL))
    finally:
        os._exit(127)


def serve(service: socket.socket, list_pids: Callable[[], Sequence[int]]) -> None:
    """Run commands until the daemon closes `service` and the last of them has ended."""
    ended, tell_ended = os.pipe()
    for end in (ended, tell_ended):
        os.set_blocking(end, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(tell_ended, warn_on_full_buffer=False)
    commands: list[_Command] = []
    is_open = True
    while is_open or commands:
        ready = _wait(service if is_open else None, ended, commands)
        if ended in ready:
            with suppress(BlockingIOError):
                os.read(ended, _READ)
        for command in commands:
            if command.control.fileno() in ready and not command.is_closed:
                command.read()
            if command.failure in ready:
                command.read_failure()
            command.look()
        for command in [each for each in commands if each.is_done]:
            command.close()
            commands.remove(command)
        if is_open and service.fileno() in ready:
            is_open = _accept(service, commands, list_pids)


def _wait(
    service: socket.socket | None, ended: int, commands: Sequence[_Command]
) -> set[int | None]:
    asked = select.poll()
    asked.register(ended, select.POLLIN)
    if service is not None:
        asked.register(service, select.POLLIN)
    for command in commands:
        if not command.is_closed:
            asked.register(command.control, select.POLLIN)
        if command.failure is not None:
            asked.register(command.failure, select.POLLIN)
    is_ticking = any(command.wants_ticks for command in commands)
    return {number for number, _ in asked.poll(_TICK_S * 1000 if is_ticking else None)}


def _accept(
    service: socket.socket, commands: list[_Command], list_pids: Callable[[], Sequence[int]]
) -> bool:
    """Take one command's descriptors; returns whether more can come."""
    try:
        data, descriptors, _, _ = socket.recv_fds(service, 1, FIXED + MAX_KEPT)
    except OSError:
        return False
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    if not data or len(descriptors) < FIXED:
        for descriptor in descriptors:
            os.close(descriptor)
        return bool(data)
    commands.append(_Command(descriptors, list_pids))
    return True


def list_all() -> list[int]:
    """The pids of the host, as far as this user may see them."""
    from airlock_daemon.platform.posix import is_darwin  # noqa: PLC0415 - seldom needed

    if is_darwin():
        from airlock_daemon.platform.darwin.leaves import list_pids  # noqa: PLC0415

        return list_pids()
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _list_session(session: int, pids: Iterable[int]) -> list[int]:
    """Those of `pids` that are of a session and have not ended, the highest first.

    That is mostly the youngest, which is the likeliest to be gone soon.
    """
    return [pid for pid in sorted(pids, reverse=True) if _belongs(pid, session)]


def _find_groups(pids: Iterable[int], session: int) -> set[int]:
    """The process groups of those of `pids` that are of a session; they may have ended."""
    groups = set()
    for pid in pids:
        with suppress(OSError):
            group = os.getpgid(pid)
            # Its pid may be that of another process by now.
            if os.getsid(pid) == session:
                groups.add(group)
    return groups


def _belongs(pid: int, session: int) -> bool:
    """Whether a process is of a session, and has not ended."""
    try:
        return os.getsid(pid) == session and not _is_zombie(pid)
    except OSError:
        return False


def _is_zombie(pid: int) -> bool:
    # macOS knows no session of one.
    with suppress(FileNotFoundError), open(f"/proc/{pid}/stat", "rb") as file:
        return file.read().rpartition(b") ")[2].startswith(b"Z")
    return False


def _close_others(service: int) -> None:
    """Close what the daemon's process has left open here: tools would inherit it."""
    for name in os.listdir("/dev/fd"):
        if int(name) > 2 and int(name) != service:
            # The directory's own is closed already.
            with suppress(OSError):
                os.close(int(name))


if __name__ == "__main__":
    descriptor = int(sys.argv[1])
    _close_others(descriptor)
    # No tool may have it: the descriptors of all commands come there.
    os.set_inheritable(descriptor, False)
    serve(socket.socket(fileno=descriptor), list_all)
