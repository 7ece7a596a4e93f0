"""Pushes of one agent, and timed calls of another during them."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

from e2e.world.process_status import forget_peak, peak_memory, resident_memory

from bench.bench_run import BenchRun
from bench.calls import Call, Caller
from bench.deployment import Deployment, start_daemon
from bench.errors import BenchError
from bench.pairs import Pair
from bench.processors import starting_on
from bench.remotes import Repository, Side
from bench.setup_files import CROWD, PROGRAMS, Form, Places
from bench.transports import Transport


class Pushed:
    """One pair's daemon, the two gits that push, and the measurements.

    `calls` and `pushes` are seconds, by the git that pushed meanwhile, "plain" or "through", and
    "alone" for calls without a push. `grown` are the bytes by which the daemon grew while it
    relayed a push, `rests` the bytes that it had before the last one.
    """

    def __init__(self, pid: int, call: Call, plain: Side, through: Side) -> None:
        self._pid = pid
        self._call = call
        self._sides = {"plain": plain, "through": through}
        self.calls: dict[str, list[float]] = {"alone": [], "plain": [], "through": []}
        self.pushes: dict[str, list[float]] = {"plain": [], "through": []}
        self.grown = self.rests = 0

    def warm_up(self, caller: Caller, pushes: "Pushes") -> None:
        """Push something small, so that permanent allocations of a first push are not counted."""
        pushes.push(self._sides["through"], caller, self._call, pushes.small)

    def take_block(self, caller: Caller, pushes: "Pushes", *, alone: int) -> None:
        """Time `alone` calls without a push, and then calls during one push of each git."""
        self.calls["alone"] += [caller.time(self._call) for _ in range(alone)]
        for name, side in self._sides.items():
            before = resident_memory(self._pid)
            forget_peak(self._pid)
            seconds, calls = pushes.push(side, caller, self._call, pushes.large)
            self.pushes[name].append(seconds)
            self.calls[name] += calls
            if name == "through":
                self.grown = max(self.grown, peak_memory(self._pid) - before)
                self.rests = before


@contextlib.contextmanager
def deploy_for_pushes(
    run: BenchRun, pair: Pair, transport: Transport, folder: Path
) -> Iterator[Pushed]:
    """Start a pair's daemon in the new `folder`; raises BrokenError if it does not serve."""
    folder.mkdir()
    places = Places(folder / "daemon", work=run.work, shim=pair.shim)
    places.write(Form(passes=None, mounts=True))
    places.enable([*PROGRAMS, "git", "git-remote"])
    places.add_agent(CROWD, profile=transport.profile)
    shim = places.links / "git-remote"
    shim.symlink_to(pair.shim)
    variables = {**transport.through(shim), "AIRLOCK_SOCKET": str(places.socket(CROWD))}
    with start_daemon(pair, places, patience_s=run.plan.patience_s) as daemon:
        yield Pushed(
            daemon.pid,
            Deployment(pair, places, daemon).call("true"),
            Side(transport, folder / "plain", transport.plain),
            Side(transport, folder / "through", variables),
        )


class Pushes:
    """Pushes of a repository in `folder` to new remotes. Raises BenchError if one fails.

    `large` is a commit of `noise` only, `small` an empty one. The gits run on the processors `on`,
    None for all.
    """

    def __init__(
        self, folder: Path, noise: Path, *, on: frozenset[int] | None, patience_s: float
    ) -> None:
        self._repository = Repository(folder / "large.git")
        self._remote = folder / "pushed.git"
        self._on = on
        self._patience_s = patience_s
        self.large = self._repository.commit_file(noise)
        self.small = self._repository.git(
            "commit-tree", self._repository.git("mktree"), "-m", "small"
        )

    def push(
        self, side: Side, caller: Caller, call: Call, commit: str
    ) -> tuple[float, list[float]]:
        """Push, and time calls until the push has ended; return its seconds and theirs.

        The push's time includes the rest of the last call.
        """
        if self._remote.exists():
            # Otherwise git would find everything there and push nothing.
            shutil.rmtree(self._remote)
        Repository(self._remote).git("config", "receive.unpackLimit", "1")
        words = ("push", "--quiet", side.url(self._remote), f"{commit}:refs/heads/pushed")
        push = side.call(self._repository, *words)
        calls: list[float] = []
        began = time.perf_counter()
        with starting_on(self._on):
            process = subprocess.Popen(
                push.argv, env=push.environment, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE
            )
        with process:
            while process.poll() is None:
                calls.append(caller.time(call))
                if sum(calls) > self._patience_s:
                    process.kill()
            seconds = time.perf_counter() - began
            assert process.stderr is not None
            said = process.stderr.read().decode(errors="replace")
        if process.returncode:
            raise BenchError(f"git push of {commit} ended with {process.returncode}: {said}")
        return seconds, calls
