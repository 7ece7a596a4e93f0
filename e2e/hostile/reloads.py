"""Reloading one daemon again and again while clients come: nothing is dropped, and nothing grows.

With each reload an agent comes, changes or goes, or a file is broken and everything stays as it
was. Whether it took effect is seen at the agent's socket. Everybody who has connected, also to an
agent that goes, is told something, and for each that was told there is one record.
"""

import os
import random
import signal
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import partial

from e2e.hostile.crowd import Crowd, Says, ask, choices
from e2e.hostile.daemon import Target, run_daemon
from e2e.hostile.footprint import measure
from e2e.hostile.log import LogReader
from e2e.hostile.rest import await_rest, warm_up
from e2e.hostile.stops import say_told
from e2e.hostile.world import HONEST, HOSTILE
from e2e.world.errors import PATIENCE_S, BrokenError
from e2e.world.lines import make_script

_MIB = 1 << 20

_FLAT = 4 * _MIB
"""How much more memory may be resident at the end than after the first third."""

# Agents that come and go, and the share of reloads that meet a broken file.
_GUESTS = ("one", "two", "three")
_BROKEN = 0.1


def reload_under_load(
    times: int, *, executable: str | None = None, say: Callable[[str], None] = print
) -> None:
    """Reload a daemon so many times, and say what its clients were told.

    Raises BrokenError where one of them was not told, a reload did not take effect, a record is
    missing or there are too many, a socket or a descriptor is left, or memory has grown.
    """
    with run_daemon(executable) as daemon:
        reloads = _Reloads(daemon, seed=times)
        before = warm_up(daemon)
        crowds = {
            name: Crowd(partial(daemon.connect, name), says, seed=number, comes_back=True)
            for number, (name, says) in enumerate(_CROWDS.items())
        }
        try:
            for _ in range(times // 3):
                reloads.make_one()
            early = measure(daemon.pid, daemon.world.temporary)
            for _ in range(times - times // 3):
                reloads.make_one()
            late = measure(daemon.pid, daemon.world.temporary)
            reloads.remove_guests()
        except BaseException:
            daemon.kill()
            raise
        finally:
            # All of them: what went wrong for one must not leave the others trying for ever.
            for crowd in crowds.values():
                crowd.end()
            told = {name: crowd.finish() for name, crowd in crowds.items()}
        made = {name: told[name].total() + reloads.asked[name] for name in crowds}
        await_rest(daemon, before=before, log=reloads.log, requests=made[HOSTILE])
        _check_left(daemon, reloads.log, made)
        grown = late.resident - early.resident
        if grown > _FLAT:
            raise BrokenError(f"memory grew by {grown / _MIB:.1f} MiB in two thirds of the reloads")
        if daemon.stop() != 0:
            raise BrokenError(f"the daemon ended badly: {daemon.read_words()}")
        reloads.log.read()
    done = ", ".join(f"{count} {what}" for what, count in reloads.done.most_common())
    say(f"{times} reloads under load: {done}")
    say(
        f"memory {early.resident / _MIB:.1f} MiB after a third, {late.resident / _MIB:.1f} MiB in "
        f"the end; {reloads.log.events.total()} records, the chain unbroken"
    )
    say_told(sum(told.values(), Counter()), say)


class _Reloads:
    """Edits the files of a daemon, has it reload them, and looks whether that took effect.

    `done` counts the edits by what they were, `asked` what was asked of each agent to see that.
    """

    def __init__(self, daemon: Target, *, seed: float) -> None:
        self.log = LogReader(daemon.world.log)
        self.done: Counter[str] = Counter()
        self.asked: Counter[str] = Counter()
        self._daemon = daemon
        self._chance = choices(seed)
        self._guests: list[str] = []
        self._narrowed: set[str] = set()

    def make_one(self) -> None:
        """Make one edit and reload; raises BrokenError where it does not take effect."""
        if self._chance.random() < _BROKEN:
            self._break(HONEST)
            return
        absent = [name for name in _GUESTS if name not in self._guests]
        edits: list[Callable[[], None]] = [partial(self._add, name) for name in absent]
        edits += [partial(self._change, name) for name in (HOSTILE, *self._guests)]
        edits += [partial(self._remove, name) for name in self._guests]
        self._chance.choice(edits)()

    def remove_guests(self) -> None:
        """Take all those out again that were not there at first."""
        for name in self._guests[:]:
            self._remove(name)

    def _add(self, name: str) -> None:
        self._daemon.world.add(name)
        self._narrowed.discard(name)
        self._guests.append(name)
        self._reload("allowed", f"added {name}")
        self._ask(name, runs=True)
        self.done["added"] += 1

    def _change(self, name: str) -> None:
        self._narrowed ^= {name}
        is_narrowed = name in self._narrowed
        self._daemon.world.add(name, commands='"true"' if is_narrowed else "")
        self._reload("allowed", f"changed {name}")
        self._ask(name, runs=not is_narrowed)
        self.done["changed"] += 1

    def _remove(self, name: str) -> None:
        self._guests.remove(name)
        self._daemon.world.remove_agent(name)
        self._reload("allowed", f"removed {name}")
        with suppress(FileNotFoundError):
            self._daemon.connect(name).close()
            raise BrokenError(f"somebody takes connections for {name}, which was removed")
        self.done["removed"] += 1

    def _break(self, name: str) -> None:
        self._daemon.world.add(name, commands='"true')
        self._reload("failed", None)
        self._ask(name, runs=True)
        self._daemon.world.add(name)
        self.done["refused for a broken file"] += 1

    def _reload(self, outcome: str, detail: str | None) -> None:
        os.kill(self._daemon.pid, signal.SIGHUP)
        until = time.monotonic() + PATIENCE_S
        while not (found := [one for one in self.log.read() if one["event"] == "reload"]):
            if time.monotonic() > until:
                raise BrokenError(f"it did not reload; it said: {self._daemon.read_words()}")
            # Each answer shows that the daemon had its turn.
            self._daemon.ask_true()
        (record,) = found
        if (record["outcome"], record["detail"]) != (outcome, detail):
            raise BrokenError(f"a reload that should be {outcome}, {detail}, is {record}")

    def _ask(self, name: str, *, runs: bool) -> None:
        with self._daemon.connect(name) as client:
            client.send(make_script("true"))
            did_run = "result" in client.await_response()
        self.asked[name] += 1
        if did_run != runs:
            raise BrokenError(f"sh of {name} {'ran' if did_run else 'was refused'}")


def _idle(_: random.Random) -> bytes:
    return b""


def _linger(chance: random.Random) -> bytes:
    """A command that may see a few reloads."""
    return make_script(f"sleep 0.{chance.randrange(9)}")


_CROWDS: dict[str, tuple[Says, ...]] = {
    HOSTILE: (ask, ask, ask, _linger, _linger),
    **dict.fromkeys(_GUESTS, (ask, _linger, _idle)),
}


def _check_left(daemon: Target, log: LogReader, made: Mapping[str, int]) -> None:
    recorded = {name: log.finals[name] + log.refused[name] for name in made}
    if recorded != dict(made):
        raise BrokenError(f"{made} clients were told something, and {recorded} are in the log")
    sockets = daemon.world.sockets
    left = {str(path.relative_to(sockets)) for path in sockets.rglob("*") if path.is_socket()}
    served = {f"{name}{end}" for name in (HOSTILE, HONEST) for end in (".sock", "/airlock.sock")}
    if left != served:
        raise BrokenError(f"the sockets in the end are {sorted(left)}")
