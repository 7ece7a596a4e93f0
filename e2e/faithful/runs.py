"""Runs entries and keeps what came of it: on this host, and from containers."""

from collections.abc import Collection, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from e2e.faithful.runner.conversation import Stuck
from e2e.faithful.runner.entry import Entry
from e2e.faithful.runner.perform import perform
from e2e.faithful.runner.result import Result
from e2e.faithful.runner.ways import Way
from e2e.faithful.world.airlock import socket_folder
from e2e.faithful.world.containers import Containers
from e2e.faithful.world.world import World

WORKERS = 4
"""So many entries are run at once; most of the time they wait."""

Outcome = Result | BaseException
"""What a run came to, or why it came to nothing."""


@dataclass(frozen=True, slots=True)
class Runs:
    """What came of the runs so far, by entry id and way; `direct` is the run to compare with."""

    world: World
    direct: dict[str, Outcome] = field(default_factory=dict)
    done: dict[tuple[str, Way], Outcome] = field(default_factory=dict)

    def run_on_host(self, entries: Collection[Entry], ways: Sequence[Way]) -> None:
        """Run each entry directly, and then in each of `ways` that takes it."""

        def one(entry: Entry) -> None:
            self.direct[entry.id] = self._attempt(entry, "direct")
            for way in ways:
                if way.takes(entry):
                    self.done[entry.id, way] = self._attempt(entry, way.daemon)

        with ThreadPoolExecutor(WORKERS) as pool:
            list(pool.map(one, entries))

    def run_in_containers(
        self, containers: Containers, plan: Mapping[Way, Collection[Entry]]
    ) -> None:
        """Run for each way its entries. They share the workspaces, so one way comes at a time."""
        for way, entries in plan.items():
            for entry in entries:
                self.world.lay_out(entry)
            for entry_id, outcome in containers.perform(way, entries).items():
                self.done[entry_id, way] = outcome

    def _attempt(self, entry: Entry, daemon: str) -> Outcome:
        world, name = self.world, entry.tool
        client = world.client_environment(entry)
        if daemon == "direct":
            calls = {tool: (tool, *world.grants[tool].prepend) for tool in entry.tools}
            env = world.grants[name].environment(client)
        else:
            calls = {tool: (str(world.ground.box / "bin" / tool),) for tool in entry.tools}
            socket = socket_folder(world.ground, daemon) / "airlock.sock"
            env = {**client, "AIRLOCK_SOCKET": str(socket)}
        try:
            return perform(
                entry,
                entry.argv(calls),
                cwd=world.lay_out(entry),
                env=env,
                patience=world.patience,
            )
        except (Stuck, OSError) as error:
            return error
