"""A daemon that serves, and the calls that go through it."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal

from bench.calls import Call, Caller
from bench.errors import BenchError
from bench.pairs import Pair
from bench.setup_files import TIMED, Form, Places, make_places, write_files

Way = Literal["descriptors", "streamed"]
"""How the output of a command gets to the client: by its own descriptors, or in messages."""

TITLES: Mapping[Way, str] = {"descriptors": "descriptors passed", "streamed": "streamed"}
"""What the table calls the ways."""

# The newest format of the files first; a daemon that does not know a setting refuses it.
_FORMS: dict[Way, tuple[Form, ...]] = {
    "descriptors": (Form(passes=None, mounts=True), Form(passes=None, mounts=False)),
    "streamed": (
        Form(passes=False, mounts=True),
        Form(passes=None, mounts=True),
        Form(passes=None, mounts=False),
    ),
}

_TICK_S = 0.001


class Deployment:
    """One pair at work. `pid` is the daemon's, `note` what its figures need to be read with."""

    def __init__(self, pair: Pair, places: Places, process: subprocess.Popen[bytes]) -> None:
        self.pair = pair
        self.places = places
        self.pid = process.pid
        self.note = ""
        self._process = process

    def call(self, name: str, *arguments: str) -> Call:
        """A call of a tool through the shim, by the agent that is timed."""
        variables = base_environment(self.places.home)
        variables["AIRLOCK_SOCKET"] = self.places.socket(TIMED)
        return Call(str(self.places.links / name), (name, *arguments), variables)

    def find_note(self, way: Way, caller: Caller) -> str:
        """Say where output did not go the way it was to go, by asking a tool for its stdout."""
        caller.time(self.call("readlink", "/proc/self/fd/1"))
        is_passed = caller.printed.decode().strip() == os.readlink(f"/proc/self/fd/{caller.stdout}")
        match way, is_passed:
            case "descriptors", False:
                return "passed no descriptors: streamed"
            case "streamed", True:
                return "cannot be made to stream: descriptors passed"
            case _:
                return ""

    def stop(self, *, patience_s: float) -> None:
        """End the daemon by SIGTERM; raises BenchError where it is gone or stays."""
        if self._process.poll() is not None:
            said = self.places.log.read_text(errors="replace").strip()[-2000:]
            raise BenchError(f"{self.pair.daemon} ended by itself; it said:\n{said}")
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout=patience_s)
        except subprocess.TimeoutExpired:
            self.kill()
            raise BenchError(f"{self.pair.daemon} did not end on SIGTERM") from None

    def kill(self) -> None:
        """End the daemon at once."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def deploy(
    pair: Pair,
    *,
    way: Way,
    root: Path,
    work: Path,
    descriptors: int = 0,
    prefix: Sequence[str] = (),
    patience_s: float = 30.0,
) -> Iterator[Deployment]:
    """Start the daemon of a pair in the new directory `root`, for commands that run in `work`.

    `descriptors` is its RLIMIT_NOFILE, 0 for ours; `prefix` are words of a program that becomes
    the daemon, such as a profiler. Raises BenchError where it does not serve.
    """
    places = make_places(root, work=work, shim=pair.shim)
    words = [*_limit(descriptors), *prefix]
    deployment = _start(pair, way, places, words, patience_s=patience_s)
    try:
        with contextlib.chdir(work), Caller(patience_s=patience_s) as caller:
            deployment.note = deployment.find_note(way, caller)
        yield deployment
    except BaseException:
        deployment.kill()
        raise
    deployment.stop(patience_s=patience_s)


def start_command(pair: Pair, places: Places) -> list[str]:
    """The words that start a pair's daemon."""
    options = ("--config", places.config, "--sockets", places.sockets, "--agents", places.agents)
    return [pair.daemon, *map(str, options), "start"]


def base_environment(home: Path) -> dict[str, str]:
    """The environment of everything that is run here, the daemon included."""
    return {
        "PATH": os.environ.get("PATH", os.defpath),
        "HOME": str(home),
        "LANG": "C.UTF-8",
    }


def answers(path: str) -> bool:
    """Whether somebody accepts connections at a socket's path."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(path) == 0


def _limit(descriptors: int) -> list[str]:
    return ["/bin/sh", "-c", f'ulimit -n {descriptors}; exec "$@"', "sh"] if descriptors else []


def _start(
    pair: Pair, way: Way, places: Places, prefix: list[str], *, patience_s: float
) -> Deployment:
    command = [*prefix, *start_command(pair, places)]
    for form in _FORMS[way]:
        write_files(places, form)
        process = _spawn(command, places, base_environment(places.home))
        deployment = Deployment(pair, places, process)
        try:
            if _serves(process, places.socket(TIMED), patience_s=patience_s):
                return deployment
        except BaseException:
            deployment.kill()
            raise
    said = places.log.read_text(errors="replace").strip()
    raise BenchError(f"{pair.daemon} ended instead of serving; it said:\n{said}")


def _spawn(
    command: list[str], places: Places, environment: Mapping[str, str]
) -> subprocess.Popen[bytes]:
    with places.log.open("wb") as log:
        return subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=environment
        )


def _serves(process: subprocess.Popen[bytes], path: str, *, patience_s: float) -> bool:
    """Wait until the daemon answers; False when it has ended instead."""
    deadline = time.monotonic() + patience_s
    while time.monotonic() < deadline:
        if answers(path):
            return True
        if process.poll() is not None:
            return False
        time.sleep(_TICK_S)
    raise BenchError(f"no connection to {path} within {patience_s:g} s")
