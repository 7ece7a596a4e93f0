"""Stopping a daemon again and again while clients come: nobody is left without a word.

A client that has connected is told something, whatever it had said by then, and for each that was
told there is one record in the audit log. The daemon ends with 0, and its log is in order.
"""

import random
from collections import Counter
from collections.abc import Callable

from e2e.hostile.crowd import Crowd, ask, choices
from e2e.hostile.daemon import Target, run_daemon
from e2e.hostile.log import LogReader
from e2e.hostile.world import ENDLESS_LOG, HOSTILE
from e2e.world.errors import BrokenError
from e2e.world.lines import make_request, make_script

AT_ONCE = f"{ENDLESS_LOG}[daemon]\nshutdown_grace_s = 0\n"
"""Settings by which a daemon that stops ends what runs."""

# Answers that come before the stop, at most, so that it meets every moment of the clients' lives.
MAX_LENGTH = 150


def stop_under_load(
    times: int, *, executable: str | None = None, say: Callable[[str], None] = print
) -> None:
    """Stop a daemon so many times, each time a new one, and say what its clients were told.

    Raises BrokenError where one of them was not told, a record is missing or there are too many, or
    the daemon did not end with 0.
    """
    chance = choices(times)
    told: Counter[str] = Counter()
    for number in range(times):
        with run_daemon(executable, settings=AT_ONCE) as daemon:
            crowd = Crowd(daemon.connect, CROWD, seed=chance.random())
            crowd.await_answers(chance.randrange(MAX_LENGTH))
            status = daemon.stop()
            told += crowd.finish()
            if status != 0:
                words = daemon.read_words()
                raise BrokenError(f"stop {number + 1} ended with {status}: {words}")
            _check_log(daemon, told=sum(crowd.told.values()))
    say(f"{times} stops under load, each in order; what clients were told:")
    say_told(told, say)


def say_told(told: Counter[str], say: Callable[[str], None]) -> None:
    """Say how many clients were told what."""
    for what, count in told.most_common():
        say(f"  {count:6} {what}")


def _stay(chance: random.Random) -> bytes:
    """Nothing, a part of a request, or one that takes long."""
    cut = make_request("true")[: chance.randrange(1, 60)]
    return chance.choice((b"", cut, make_script("sleep 600")))


# Those that ask and go, and those that stay until they are told.
CROWD = (ask,) * 8 + (_stay,) * 4


def _check_log(daemon: Target, *, told: int) -> None:
    log = LogReader(daemon.world.log)
    last = log.read()[-1]
    recorded = log.finals[HOSTILE] + log.refused[HOSTILE]
    if recorded != told:
        raise BrokenError(f"{told} clients were told something, and {recorded} are in the log")
    if last["event"] != "daemon-stop":
        raise BrokenError(f"the log ends with {last}")
