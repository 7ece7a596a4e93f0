"""Where one `true` spends its time: system calls of all processes in order, Python functions.

Tracing slows the program: the output shows the order of events and their shares, not real times.
"""

import marshal
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec

from bench.bench_run import BenchRun
from bench.deployment import Deployment
from bench.errors import BenchError

_LINE = re.compile(r"(\d+) +(\d+\.\d+) (.*)")
"""A line of ``strace -f -ttt -o FILE``: pid, seconds since 1970, the call."""

_PROGRAM = re.compile(r'execve\("(?:[^"]*/)?([^"]*)"')

_WIDTH = 100

_FUNCTIONS = 25

_HEADING = "  own µs    calls  function"

_Function = tuple[str, int, str]
"""File, line and name."""

_Row = tuple[int, int, float, float, object]
"""cProfile's entry of a function: primitive calls, calls, own and total seconds, callers."""

_NOTHING: _Row = (0, 0, 0.0, 0.0, None)


class Event(msgspec.Struct, frozen=True, order=True):
    """One system call: its start, its process, and strace's text."""

    at: float
    pid: int
    call: str


def write_profile(run: BenchRun) -> str:
    """Return the timeline of one call, and the daemon's functions that take most of it."""
    return f"{_write_timeline(run)}\n{_write_functions(run)}"


def read_events(text: str) -> Iterator[Event]:
    """Parse strace's output; lines that are no system call, such as signals, are skipped."""
    for line in text.splitlines():
        match = _LINE.match(line)
        if match and not match[3].startswith(("+++", "---", "<...")):
            yield Event(float(match[2]), int(match[1]), match[3])


def _write_timeline(run: BenchRun) -> str:
    strace = shutil.which("strace")
    if strace is None:
        return "strace is not installed: no timeline of system calls.\n"
    tracing = (strace, "-f", "-ttt", "-s", "48", "-o")
    ours, theirs = run.data / "daemon.strace", run.data / "shim.strace"
    # -D: the tracer runs detached, so the daemon stays our own child.
    prefix = (*tracing, str(ours), "-D")
    with run.deploy(run.pairs[0], "descriptors", prefix=prefix) as deployment:
        _call_repeatedly(run, deployment, 5)
        call = deployment.call("true")
        done = subprocess.run(
            [*tracing, str(theirs), call.program],
            cwd=run.work,
            env=call.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            timeout=run.plan.patience_s,
        )
        if done.returncode:
            raise BenchError(f"strace of the shim failed: {done.stderr.decode().strip()}")
    events = sorted(read_events(theirs.read_text()))
    first, last = events[0].at, events[-1].at
    events += [e for e in read_events(ours.read_text()) if first <= e.at <= last]
    return _lay_out(sorted(events), deployment.pid)


def _lay_out(events: list[Event], daemon: int) -> str:
    names = {daemon: "daemon"}
    lines = ["  ms    step  process         system call (strace makes each of them slower)"]
    for number, event in enumerate(events):
        program = _PROGRAM.match(event.call)
        if program:
            names[event.pid] = program[1]
        since = event.at - events[max(0, number - 1)].at
        name = names.get(event.pid, f"pid {event.pid}")
        text = event.call if len(event.call) <= _WIDTH else event.call[: _WIDTH - 3] + "..."
        lines.append(
            f"{(event.at - events[0].at) * 1e3:6.2f} {since * 1e3:6.2f}  {name:<15} {text}"
        )
    return "\n".join(lines) + "\n"


def _write_functions(run: BenchRun) -> str:
    calls = run.plan.calls
    none, whole = _profile(run, 0), _profile(run, calls)
    # Both include the daemon's start and end.
    spent = {}
    for function, (_, count, seconds, *_) in whole.items():
        before = none.get(function, _NOTHING)
        if count > before[1]:
            spent[function] = (seconds - before[2], count - before[1])
    title = f"The daemon's functions for one `true`, on the average of {calls}"
    lines = [f"{title} (cProfile makes each of them slower; poll waits):", _HEADING]
    for function, (seconds, count) in sorted(spent.items(), key=lambda item: -item[1][0]):
        file, line, name = function
        place = f"{Path(file).name}:{line} {name}" if line else name
        lines.append(f"{seconds / calls * 1e6:8.1f} {count / calls:8.1f}  {place}")
    return "\n".join(lines[: _FUNCTIONS + 2]) + "\n"


def _profile(run: BenchRun, calls: int) -> Mapping[_Function, _Row]:
    path = run.data / f"{calls}.profile"
    prefix = (sys.executable, "-m", "cProfile", "-o", str(path))
    with run.deploy(run.pairs[0], "descriptors", prefix=prefix) as deployment:
        _call_repeatedly(run, deployment, calls)
    stats: Mapping[_Function, _Row] = marshal.loads(path.read_bytes())  # noqa: S302 - our own
    return stats


def _call_repeatedly(run: BenchRun, deployment: Deployment, count: int) -> None:
    call = deployment.call("true")
    with run.caller() as caller:
        for _ in range(count):
            caller.time(call)
