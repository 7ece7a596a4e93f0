"""Killing what commands in boxes rest on, at any moment: everybody is told, and nothing is left.

A victim is any process that there is between the daemon and the tool, the daemon itself, or a
client that hangs up. What becomes an orphan by that comes to this process, so that whatever never
ends is found when the daemon has ended, wherever it has gone.
"""

import ctypes
import os
import random
import select
import signal
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from e2e.hostile.crowd import choices
from e2e.hostile.daemon import Target, new_world
from e2e.hostile.log import LogReader
from e2e.hostile.world import ENDLESS_LOG, World
from e2e.world.errors import PATIENCE_S, BrokenError
from e2e.world.lines import make_request, make_script

_STRAYS = "setsid sh -c \"trap '' HUP TERM; while :; do sleep 1; done\" & (setsid sleep 600 &); "

# Those that end by themselves, so that their clients are told something in any case, and one that
# does not.
_BRIEF = (make_request("true"), make_script(f"{_STRAYS} sleep 0.02"))
_LONG = make_script(f"{_STRAYS} exec sleep 600")

_ROLES = ("service", "supervisor", "bubblewrap", "first", "tool")
_CLIENT, _DAEMON = "client", "daemon"

# How many victims one daemon sees before it is stopped, and how long after its request the latest
# of them is killed: making a box takes some milliseconds.
_IN_A_ROW = 25
_LATEST_S = 0.03

_AT_ONCE = ENDLESS_LOG.replace("[limits]", "[daemon]\nshutdown_grace_s = 0\n[limits]")

_PR_SET_CHILD_SUBREAPER = 36


def kill_boxes(
    times: int, *, executable: str | None = None, say: Callable[[str], None] = print
) -> None:
    """Kill so many victims, and say which they were.

    Raises BrokenError where a client was not told, or a process, a mount or a directory was left.
    """
    chance = choices(times)
    killed: Counter[str] = Counter()
    with new_world(settings=_AT_ONCE, boxed=True) as world, _adopting():
        ours = set(_descend(os.getpid()))
        while (missing := times - killed.total()) > 0:
            target = Target(world, executable)
            try:
                for _ in range(min(missing, _IN_A_ROW)):
                    killed[(victim := _kill_one(target, chance))] += 1
                    if victim == _DAEMON:
                        break
                else:
                    _stop(target)
            finally:
                target.kill()
            _await_nothing(ours, world, directories=victim != _DAEMON)
        # It removes the directories of those that were killed.
        last = Target(world, executable)
        try:
            _stop(last)
        finally:
            last.kill()
        _await_nothing(ours, world)
        LogReader(world.log).read()
    say(f"{killed.total()} kills in and around boxes, and nothing is left of what they ended:")
    for name, count in killed.most_common():
        say(f"  {count:6} {name}")


def _kill_one(target: Target, chance: random.Random) -> str:
    """Have a command run, kill one of all that there is at some moment, and see the client told."""
    with target.connect() as client:
        message = chance.choice((*_BRIEF, _LONG))
        client.send(message)
        select.select([client.socket], [], [], chance.uniform(0, _LATEST_S))
        name = chance.choice((_CLIENT, _DAEMON, *4 * _ROLES))
        if name == _DAEMON:
            target.kill()
        elif name == _CLIENT or not _kill_role(target.pid, name, chance):
            return _CLIENT
        elif message != _LONG:
            try:
                client.await_response()
            except BrokenError as error:
                raise BrokenError(f"after a kill of {name}: {error}") from error
        return name


def _kill_role(daemon: int, name: str, chance: random.Random) -> bool:
    """Kill a process that has this role, if there is one, and is still what it was."""
    found = [pid for pid, role in _find_roles(daemon) if role == name]
    if not found:
        return False
    pid = chance.choice(found)
    with suppress(ProcessLookupError):
        descriptor = os.pidfd_open(pid)
        try:
            if (pid, name) in _find_roles(daemon):
                signal.pidfd_send_signal(descriptor, signal.SIGKILL)
                return True
        finally:
            os.close(descriptor)
    return False


def _find_roles(daemon: int) -> list[tuple[int, str]]:
    """Each process of the daemon's, wherever it is by now, and what it is there for."""
    parents = {pid: parent for parent, pid in _list_pairs(os.getpid())}
    names = {pid: _read(f"/proc/{pid}/comm") for pid in parents}
    makers = {
        pid for pid in parents if names[pid] == "bwrap" and names.get(parents[pid]) != "bwrap"
    }
    first = {pid for pid in parents if parents[pid] in makers}
    found = []
    for pid, parent in parents.items():
        if pid in makers:
            found.append((pid, "bubblewrap"))
        elif pid in first:
            found.append((pid, "first"))
        elif parent == daemon:
            found.append((pid, "service"))
        elif names[pid] == "airlock-launch":
            found.append((pid, "supervisor"))
        elif _is_below(pid, first, parents):
            found.append((pid, "tool"))
    return found


def _is_below(pid: int, tops: set[int], parents: dict[int, int]) -> bool:
    while pid in parents:
        pid = parents[pid]
        if pid in tops:
            return True
    return False


def _stop(target: Target) -> None:
    target.ask_true()
    status = target.stop()
    if status != 0:
        raise BrokenError(f"a stop ended with {status}: {target.read_words()}")


def _await_nothing(ours: set[int], world: World, *, directories: bool = True) -> None:
    """Wait until nothing is left of a daemon that has ended; `directories` are looked at too."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        _reap(ours)
        there = [pid for pid in _descend(os.getpid()) if pid not in ours]
        left = [f"{pid} {_read(f'/proc/{pid}/comm')}" for pid in there]
        left += os.listdir(world.temporary) if directories else []
        rows = _read("/proc/self/mountinfo").splitlines()
        left += [row for row in rows if world.temporary.parent.name in row]
        if not left:
            return
        if time.monotonic() > deadline:
            raise BrokenError(f"left are {left}")
        os.sched_yield()


def _reap(ours: set[int]) -> None:
    for parent, pid in _list_pairs(os.getpid()):
        if parent == os.getpid() and pid not in ours:
            with suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def _descend(top: int) -> Iterator[int]:
    return (pid for _, pid in _list_pairs(top))


def _list_pairs(top: int) -> list[tuple[int, int]]:
    """Every process below `top`, after its parent."""
    found: list[tuple[int, int]] = []
    waiting = [top]
    while waiting:
        parent = waiting.pop()
        with suppress(FileNotFoundError, ProcessLookupError):
            for task in Path(f"/proc/{parent}/task").iterdir():
                children = [int(word) for word in (task / "children").read_text().split()]
                found += [(parent, child) for child in children]
                waiting += children
    return found


def _read(path: str) -> str:
    with suppress(OSError):
        return Path(path).read_text().strip()
    return ""


@contextmanager
def _adopting() -> Iterator[None]:
    """Let what loses its parent become a child of this process (prctl(2))."""
    _set_subreaper(1)
    try:
        yield
    finally:
        _set_subreaper(0)


def _set_subreaper(value: int) -> None:
    library = ctypes.CDLL(None, use_errno=True)
    if library.prctl(_PR_SET_CHILD_SUBREAPER, value, 0, 0, 0):
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")
