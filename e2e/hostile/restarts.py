"""Restarting a daemon again and again while clients come back: on the same files and sockets.

It is stopped in order, and killed each tenth time. Who has connected is told something, but for
those that a kill has cut off; who finds nobody tries again. There is one log in the end, with one
record for each that was told, and its chain is whole.
"""

from collections import Counter
from collections.abc import Callable

from e2e.hostile.crowd import CUT, Crowd, choices
from e2e.hostile.daemon import Target, new_world
from e2e.hostile.log import LogReader
from e2e.hostile.stops import AT_ONCE, CROWD, MAX_LENGTH, say_told
from e2e.hostile.world import HOSTILE, World
from e2e.world.client import Client
from e2e.world.errors import BrokenError

_KILLED = 10


def restart_under_load(
    times: int, *, executable: str | None = None, say: Callable[[str], None] = print
) -> None:
    """Restart a daemon so many times, and say what its clients were told.

    Raises BrokenError where one of them was not told, a record is missing or there are too many, a
    new daemon does not serve, or one that is stopped does not end with 0.
    """
    chance = choices(times)
    kills = 0
    with new_world(settings=AT_ONCE) as world:
        daemon = Target(world, executable)
        crowd = Crowd(lambda: Client(world.socket(HOSTILE)), CROWD, seed=times, comes_back=True)
        try:
            for number in range(1, times + 1):
                crowd.await_answers(chance.randrange(1, MAX_LENGTH))
                if number % _KILLED == 0:
                    kills += 1
                    with crowd.being_cut():
                        daemon.kill()
                else:
                    _stop(daemon, number)
                daemon = Target(world, executable)
                daemon.ask_true()
            _stop(daemon, times + 1)
        finally:
            with crowd.being_cut():
                daemon.kill()
            told = crowd.finish()
        left = sorted(path.name for path in world.sockets.rglob("*") if path.is_socket())
        if left:
            raise BrokenError(f"sockets are left: {left}")
        records = _check_log(world, told)
    say(f"{times} restarts under load, {kills} after a kill; {records} records, the chain unbroken")
    say_told(told, say)


def _stop(daemon: Target, number: int) -> None:
    status = daemon.stop()
    if status != 0:
        raise BrokenError(f"stop {number} ended with {status}: {daemon.read_words()}")


def _check_log(world: World, told: Counter[str]) -> int:
    log = LogReader(world.log)
    last = log.read()[-1]
    recorded = log.finals[HOSTILE] + log.refused[HOSTILE]
    answered = told.total() - told[CUT]
    # Of those that a kill has cut off some were answered in the log already.
    if not answered <= recorded <= told.total():
        raise BrokenError(
            f"{answered} clients were told something, {told[CUT]} were cut off, "
            f"and {recorded} are in the log"
        )
    if last["event"] != "daemon-stop":
        raise BrokenError(f"the log ends with {last}")
    return log.events.total()
