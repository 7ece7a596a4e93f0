"""What agents' boxes can take from others: tried by root on a machine where Airlock serves two.

It is given the directory of the sockets of the agents `my` and `other`, and prints JSON. Of `my`
come more boxes than it should have room for. It imports nothing but Python's own library.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

PERSON = 1000
CLIENT = "/opt/client/python3"
WORKSPACES = Path("/home/dev/work")

# Shared memory, which no limit of a process counts.
_TAKES_MEMORY = """
import mmap, sys
memory = mmap.mmap(-1, 100 << 20)
for page in range(0, len(memory), 4096):
    memory[page] = 1
print("kept", flush=True)
sys.stdin.read()
"""
_FORKS = """
import os, signal, sys
count = 0
try:
    while count < 40:
        if not os.fork():
            signal.pause()
        count += 1
except BlockingIOError:
    pass
print(count, flush=True)
sys.stdin.read()
"""
_SPINS = """
print("spins", flush=True)
while True: pass
"""
_WORKS = """
import time
print("works", flush=True)
while time.process_time() < 2: pass
print("done", flush=True)
"""


class Box:
    """A command of an agent in its box, until it is left: then its standard input ends."""

    def __init__(self, sockets: Path, agent: str, code: str) -> None:
        self._client = subprocess.Popen(
            [CLIENT, "-c", code],
            env={"AIRLOCK_SOCKET": str(sockets / agent / "airlock.sock")},
            cwd=WORKSPACES / agent,
            user=PERSON,
            group=PERSON,
            extra_groups=[],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def read(self) -> str:
        """Return the next line of its output, empty where there will be none."""
        assert self._client.stdout
        return self._client.stdout.readline().strip()

    def leave(self) -> int:
        """Return its exit status."""
        self._client.communicate()
        return self._client.returncode

    def end(self) -> None:
        """End it from outside."""
        self._client.terminate()
        self._client.communicate()


def take_memory(sockets: Path) -> dict[str, object]:
    """Have four boxes take 100 MiB each; how many have kept it, and what another agent's says."""
    boxes = [Box(sockets, "my", _TAKES_MEMORY) for _ in range(4)]
    for box in boxes:
        box.read()
    other = Box(sockets, "other", "print('goes')")
    said = other.read()
    other.leave()
    return {"kept": sum(box.leave() == 0 for box in boxes), "other": said}


def take_processes(sockets: Path) -> dict[str, object]:
    """Have eight boxes start 40 processes each; how many there were, and what another's says."""
    boxes = [Box(sockets, "my", _FORKS) for _ in range(8)]
    started = sum(int(box.read() or 0) for box in boxes)
    other = Box(sockets, "other", "print('goes')")
    said = other.read()
    other.leave()
    for box in boxes:
        box.leave()
    return {"started": started, "other": said}


def take_processors(sockets: Path) -> dict[str, object]:
    """Have six boxes spin; how much more than that of another agent they get of the processors."""
    boxes = [Box(sockets, "my", _SPINS) for _ in range(6)]
    for box in boxes:
        box.read()
    other = Box(sockets, "other", _WORKS)
    other.read()
    before = (count_ticks(_SPINS), count_ticks(_WORKS))
    other.read()
    # Its time does not say when it began to be counted, so both are of the same moments.
    mine = count_ticks(_SPINS) - before[0]
    for box in boxes:
        box.end()
    other.leave()
    return {"times": mine / (2 * os.sysconf("SC_CLK_TCK") - before[1])}


def count_ticks(code: str) -> int:
    """Return the processor time of all processes that run this code."""
    ticks = 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if code.encode() in (entry / "cmdline").read_bytes():
                ticks += sum(
                    map(int, (entry / "stat").read_text().rpartition(")")[2].split()[11:13])
                )
        except OSError:
            # It has ended meanwhile.
            continue
    return ticks


if __name__ == "__main__":
    where = Path(sys.argv[1])
    tried = (take_memory, take_processes, take_processors)
    print(json.dumps({each.__name__: each(where) for each in tried}))
