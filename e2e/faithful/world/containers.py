"""The agent's containers, and how entries are run in them.

Most entries of a way go through one `docker exec`: a shell in the container runs one after the
other, each wired by redirections, and leaves what they wrote in files. Those that talk, or stand on
a terminal, get a `docker exec` of their own, which the runner connects as it connects a client on
the host; and a few are run by `docker run -it`.
"""

import os
import subprocess
from collections.abc import Collection, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from e2e.faithful.runner.conversation import Stuck
from e2e.faithful.runner.entry import Entry
from e2e.faithful.runner.perform import perform
from e2e.faithful.runner.result import Result
from e2e.faithful.runner.ways import Way
from e2e.faithful.runner.workspace import survey
from e2e.faithful.world.airlock import socket_folder
from e2e.faithful.world.batch import Batch
from e2e.faithful.world.ground import COMMIT_DATES, DAEMONS, Ground
from e2e.faithful.world.world import World
from e2e.world.container import Setup
from e2e.world.engine import LABEL
from e2e.world.images import Images

_BOX, _RESULTS = "/faithful", "/results"
WORKSPACE = "/workspace"
"""Where containers have the workspaces."""
_WORKERS = 3

Outcome = Result | BaseException


@dataclass(frozen=True, slots=True)
class Containers:
    """Two running containers of the agent, one with a libc and one without any."""

    world: World
    images: Mapping[str, str]
    ids: Mapping[str, str]

    def perform(self, way: Way, entries: Collection[Entry]) -> dict[str, Outcome]:
        """Run `entries` from the container of `way`, in workspaces that are laid out."""
        batch = Batch(self.world.ground.results / str(way), at=f"{_RESULTS}/{way}")
        alone = []
        for entry in entries:
            if entry.needs_attention:
                alone.append(entry)
            else:
                batch.add(entry, self._argv(entry), folder=f"{WORKSPACE}/{entry.id}")
        with ThreadPoolExecutor(_WORKERS) as pool:
            futures: dict[str, Future[Result]] = {
                entry.id: pool.submit(self._perform_alone, way, entry) for entry in alone
            }
            outcomes: dict[str, Outcome] = dict(self._perform_batch(way, batch))
        for entry_id, future in futures.items():
            outcomes[entry_id] = future.exception() or future.result()
        return outcomes

    def _perform_batch(self, way: Way, batch: Batch) -> Iterator[tuple[str, Outcome]]:
        if not batch.entries:
            return
        with (
            batch.script().open("rb") as script,
            (batch.folder / "said").open("wb") as said,
            # Those that have not come to an end by then say so below.
            suppress(subprocess.TimeoutExpired),
        ):
            subprocess.run(
                ["docker", "exec", "-i", *self._options(way), self.ids[way.place], "/bin/sh"],
                stdin=script,
                stdout=said,
                stderr=said,
                timeout=self.world.patience * 4,
                check=False,
            )
        for entry in batch.entries:
            result = batch.read(entry, survey(self.world.ground.workspaces / entry.id))
            yield entry.id, result or Stuck(f"did not end; see {batch.folder / entry.id}")

    def _perform_alone(self, way: Way, entry: Entry) -> Result:
        options = [*self._options(way), f"--workdir={WORKSPACE}/{entry.id}"]
        if entry.screen is not None:
            options += ["--tty", f"--env=TERM={entry.screen.term}"]
        if way.place == "run":
            setup = Setup(image=self.images["libc"], mounts=list_mounts(self.world.ground))
            call = ["run", "--rm", "--interactive", f"--label={LABEL}", *setup.words(), *options]
            call.append(setup.image)
        else:
            call = ["exec", "--interactive", *options, self.ids[way.place]]
        return perform(
            entry,
            [*(os.fsencode(word) for word in ("docker", *call)), *self._argv(entry)],
            cwd=self.world.ground.workspaces / entry.id,
            env={**os.environ, "TERM": entry.screen.term if entry.screen else "dumb"},
            patience=self.world.patience,
            by_engine=True,
        )

    def _options(self, way: Way) -> list[str]:
        variables = {**COMMIT_DATES, "AIRLOCK_SOCKET": f"/run/{way.daemon}/airlock.sock"}
        return [f"--env={name}={value}" for name, value in variables.items()]

    def _argv(self, entry: Entry) -> Sequence[bytes]:
        return entry.argv({tool: (f"{_BOX}/bin/{tool}",) for tool in entry.tools})


@contextmanager
def running_containers(world: World, images: Images) -> Iterator[Containers]:
    """Run both containers for as long as the context lasts."""
    names = {"libc": images.debian, "bare": images.busybox}
    mounts = {**list_mounts(world.ground), _RESULTS: (world.ground.results, "rw")}
    with ExitStack() as stack:
        ids = {}
        for place, image in names.items():
            setup = Setup(image=image, mounts=mounts, options=("--init",))
            ids[place] = stack.enter_context(setup.running()).id
        yield Containers(world=world, images=names, ids=ids)


def list_mounts(ground: Ground) -> dict[str, tuple[Path, str]]:
    """Return what a container of the agent sees of this host: its path there, here, and how."""
    sockets = {f"/run/{each}": (socket_folder(ground, each), "ro") for each in DAEMONS}
    shared = {_BOX: (ground.box, "ro"), WORKSPACE: (ground.workspaces, "rw")}
    return {**shared, **{at: mount for at, mount in sockets.items() if mount[0].exists()}}
