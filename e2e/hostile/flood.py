"""Floods: what one agent does without end while another one is timed.

Each says a line on stdout when it is under way and ends when its stdin does.
"""

import selectors
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from functools import partial

from e2e.world.client import Client
from e2e.world.lines import make_request, make_script

_MIB = 1 << 20
_IDLE = 1000
_AT_ONCE = 200
_TABLE = 1024


def _flood(path: str, line: bytes, at_once: int) -> None:
    """Keep `at_once` requests under way: who is answered is followed by another one."""
    # The connections that are open at the end are closed with the process.
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        for _ in range(at_once):
            _ask(selector, path, line)
        print("under way", flush=True)
        while True:
            for key, _ in selector.select():
                client = key.data
                if client is None:
                    return
                if client.socket.recv(65536):
                    continue
                selector.unregister(client.socket)
                client.close()
                _ask(selector, path, line)


def _ask(selector: selectors.BaseSelector, path: str, line: bytes) -> None:
    client = Client(path)
    client.send(line)
    selector.register(client.socket, selectors.EVENT_READ, client)


def _flood_with_commands(path: str) -> None:
    _flood(path, make_request("true"), 32)


def _flood_with_refusals(path: str) -> None:
    _flood(path, make_request("sudo"), 32)


def _run_many_at_once(path: str) -> None:
    _flood(path, make_request("true"), _AT_ONCE)


def _flood_with_output(path: str) -> None:
    """Endless outputs that are read as fast as they come."""
    _flood(path, make_script("cat /dev/zero", "base64"), 8)


def _hold_connections(path: str, count: int) -> None:
    with ExitStack() as stack:
        for _ in range(count):
            with suppress(OSError):
                stack.enter_context(Client(path))
        print("under way", flush=True)
        sys.stdin.read()


def _stay_idle(path: str) -> None:
    _hold_connections(path, _IDLE)


def _fill_the_table(path: str) -> None:
    _hold_connections(path, _TABLE)


def _send_long_lines(path: str) -> None:
    """Lines of 100 MB without a newline, one after the other."""
    with selectors.DefaultSelector() as selector:
        selector.register(sys.stdin, selectors.EVENT_READ)
        print("under way", flush=True)
        while not selector.select(0):
            with Client(path) as client:
                for _ in range(100):
                    if not client.send(b"x" * _MIB):
                        break


FLOODS: dict[str, Callable[[str], None]] = {
    "commands": _flood_with_commands,
    "refusals": _flood_with_refusals,
    "200-at-once": _run_many_at_once,
    "output": _flood_with_output,
    "1000-idle": _stay_idle,
    "full-table": _fill_the_table,
    "long-lines": _send_long_lines,
}
"""Each takes the path of a socket."""

_FORKS = """
import os, time
for _ in range(20_000):
    try:
        if not os.fork():
            time.sleep(60)
    except OSError:
        time.sleep(1)
"""

# Until it is refused, and then once more: 10 GiB are more than any box is given.
_MEMORY = """
kept = []
try:
    for _ in range(640):
        kept.append(bytearray(b"x" * (16 << 20)))
except MemoryError:
    pass
"""

_FILES = """
import os
for _ in range(10_240):
    for place in ("/tmp", "/dev/shm", os.environ["HOME"]):
        try:
            with open(place + "/big", "ab") as file:
                file.write(bytes(1 << 20))
        except OSError:
            os.truncate(place + "/big", 0)
"""

_LOOPS = """
import os
for _ in range(2 * os.cpu_count()):
    if not os.fork():
        while True:
            pass
os.wait()
"""


def _hog(path: str, script: str) -> None:
    """Two boxes at a time, in each of which a script takes what it can get."""
    _flood(path, make_request(HOG, "-c", script), 2)


HOG = "python3"
"""The command whose box the hogs are in."""

HOGS: dict[str, Callable[[str], None]] = {
    "forks": partial(_hog, script=_FORKS),
    "memory": partial(_hog, script=_MEMORY),
    "files in memory": partial(_hog, script=_FILES),
    "busy loops": partial(_hog, script=_LOOPS),
}
"""The same, by what is in boxes."""
