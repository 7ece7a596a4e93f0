"""What a push and a fetch take over the broker of git, and with plain git and the key."""

import contextlib
import json
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from e2e.world.errors import BrokenError
from e2e.world.sshd import configuration, running_sshd, why_not

from bench.bench_run import BenchRun
from bench.calls import Call, Caller
from bench.deployment import base_environment, start_daemon
from bench.errors import BenchError
from bench.figures import Figure, at_most, estimated, fail
from bench.interleaving import interleave
from bench.pairs import Pair
from bench.samples import Samples, estimate
from bench.setup_files import TIMED, Places, find_program

_GOALS_MS = {"push": at_most(10), "fetch": at_most(10)}
_TITLES = {"push": "`git push` of one commit", "fetch": "`git ls-remote`"}
_PLAIN = "plain"


def measure_remote(run: BenchRun) -> Iterator[Figure]:
    """Yield what the broker adds to a conversation over ssh, in ms, for each pair."""
    reason = why_not()
    if reason is not None:
        raise BenchError(reason)
    folder = run.data / "remote"
    folder.mkdir()
    with running_sshd(folder), contextlib.ExitStack() as stack:
        ssh = f"ssh -F {configuration(folder)}"
        sides = {_PLAIN: _Side(run, folder / _PLAIN, ssh)}
        faults = {}
        for pair in run.pairs:
            try:
                client = stack.enter_context(_serve(run, pair, folder / pair.name, ssh))
            except BrokenError as error:
                faults[pair.name] = str(error)
                continue
            sides[pair.name] = _Side(run, folder / f"{pair.name}-side", *client)
        with run.caller() as caller:
            for verb, goal in _GOALS_MS.items():
                samples = interleave(
                    {name: partial(side.time, verb, caller) for name, side in sides.items()},
                    rounds=max(run.plan.calls // 8, 1),
                    budget_s=run.plan.budget_s,
                )
                for pair in run.pairs:
                    what = f"{_TITLES[verb]} over ssh: git-remote adds"
                    if pair.name in faults:
                        yield fail(what, pair.name, "ms", faults[pair.name], goal=goal)
                    else:
                        yield _compare(what, pair, samples[_PLAIN], samples[pair.name], verb)


class _Side:
    """A repository at the server, and a git that reaches it by `ssh`."""

    def __init__(self, run: BenchRun, folder: Path, ssh: str, socket: str = "") -> None:
        self._run = run
        self._remote = folder.with_suffix(".git")
        home = folder.with_suffix(".home")
        home.mkdir()
        self._environment = base_environment(home) | {
            "GIT_SSH_COMMAND": ssh,
            "GIT_SSH_VARIANT": "ssh",
            "AIRLOCK_SOCKET": socket,
        }
        self._pushed = 0
        self._last = ""
        self._git("init", "--quiet", "--bare", str(self._remote))

    def time(self, verb: str, caller: Caller) -> float:
        """The seconds of one conversation."""
        where = f"host:{self._remote}"
        if verb == "fetch":
            return caller.time(self._call("ls-remote", where))
        commit = self._make_commit()
        return caller.time(self._call("push", "--quiet", where, f"{commit}:refs/heads/timed"))

    def _make_commit(self) -> str:
        """A commit on top of the one before, with a file of its own."""
        self._pushed += 1
        before = ("-p", self._last) if self._pushed > 1 else ()
        blob = self._git("hash-object", "-w", "--stdin", said=f"{self._remote} {self._pushed}\n")
        tree = self._git("mktree", said=f"100644 blob {blob}\tfile\n")
        identity = ("-c", "user.name=bench", "-c", "user.email=bench@example.com")
        self._last = self._git(*identity, "commit-tree", tree, "-m", str(self._pushed), *before)
        return self._last

    def _call(self, *words: str) -> Call:
        return Call(find_program("git"), ("git", *words), self._environment)

    def _git(self, *words: str, said: str = "") -> str:
        done = subprocess.run(
            ["git", *words],
            cwd=self._run.work,
            env=self._environment,
            input=said,
            capture_output=True,
            text=True,
            check=False,
        )
        if done.returncode:
            raise BenchError(f"git {words[0]} failed: {done.stderr.strip()}")
        return done.stdout.strip()


@contextlib.contextmanager
def _serve(run: BenchRun, pair: Pair, root: Path, ssh: str) -> Iterator[tuple[str, str]]:
    """Start a daemon that grants the server; yields what its client's git has for an ssh."""
    places = Places(root, work=run.work, shim=pair.shim)
    shim = places.links / "git-remote"
    shim.symlink_to(pair.shim)
    places.enable(["git-remote"])
    profile = (
        'commands = ["git-remote"]\n[git]\npush = ["host/**"]\n'
        f"[env]\nset = {{ GIT_SSH_COMMAND = {json.dumps(ssh)} }}\n"
    )
    places.add_agent(TIMED, profile=profile)
    with start_daemon(pair, places, patience_s=run.plan.patience_s):
        yield f"{shim} ssh", str(places.socket(TIMED))


def _compare(what: str, pair: Pair, plain: Samples, through: Samples, verb: str) -> Figure:
    pairs = zip(plain.values, through.values, strict=False)
    return estimated(
        estimate([(other - one) * 1e3 for one, other in pairs]),
        what=what,
        pair=pair.name,
        unit="ms",
        goal=_GOALS_MS[verb],
        behind={"plain ms": plain.median * 1e3, "through ms": through.median * 1e3},
    )
