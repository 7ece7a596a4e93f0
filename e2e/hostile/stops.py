"""Stopping a daemon again and again while clients come: nobody is left without a word.

A client that has connected is told something, whatever it had said by then, and for each that was
told there is one record in the audit log. The daemon ends with 0, and its log is in order.
"""

import random
import threading
from collections import Counter
from collections.abc import Callable

from e2e.hostile.daemon import Target, run_daemon
from e2e.hostile.log import LogReader
from e2e.hostile.world import ENDLESS_LOG, HOSTILE
from e2e.world.errors import BrokenError
from e2e.world.lines import make_request, make_script

_AT_ONCE = f"{ENDLESS_LOG}[daemon]\nshutdown_grace_s = 0\n"

# Those that ask and go, and those that stay until they are told.
_PASSING, _STAYING = 8, 4

# Answers that come before the stop, at most, so that it meets every moment of the clients' lives.
_LONGEST = 150


def stop_under_load(
    times: int, *, executable: str | None = None, say: Callable[[str], None] = print
) -> None:
    """Stop a daemon so many times, each time a new one, and say what its clients were told.

    Raises BrokenError where one of them was not told, a record is missing or there are too many, or
    the daemon did not end with 0.
    """
    chance = _choices(times)
    told: Counter[str] = Counter()
    for number in range(times):
        with run_daemon(executable, settings=_AT_ONCE) as daemon:
            crowd = _Crowd(daemon, seed=chance.random())
            crowd.await_answers(chance.randrange(_LONGEST))
            status = daemon.stop()
            told += crowd.finish()
            if status != 0:
                words = daemon.read_words()
                raise BrokenError(f"stop {number + 1} ended with {status}: {words}")
            _check_log(daemon, told=sum(crowd.told.values()))
    say(f"{times} stops under load, each in order; what clients were told:")
    for what, count in told.most_common():
        say(f"  {count:6} {what}")


class _Crowd:
    """Clients that come one after the other, in threads, until nobody takes them any more."""

    def __init__(self, daemon: Target, *, seed: float) -> None:
        self.told: Counter[str] = Counter()
        self._daemon = daemon
        self._faults: list[BaseException] = []
        self._news = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, args=(_choices(seed + number), says))
            for number, says in enumerate([_ask] * _PASSING + [_stay] * _STAYING)
        ]
        for thread in self._threads:
            thread.start()

    def await_answers(self, count: int) -> None:
        """Return when so many were told something, or something went wrong."""
        with self._news:
            self._news.wait_for(lambda: self._faults or self.told.total() >= count)

    def finish(self) -> Counter[str]:
        """Return what everybody was told, once the last one is gone; raises BrokenError."""
        for thread in self._threads:
            thread.join()
        if self._faults:
            raise BrokenError(f"{self._faults[0]}; {self._daemon.read_words()}")
        return self.told

    def _work(self, chance: random.Random, says: Callable[[random.Random], bytes]) -> None:
        try:
            while self._be_a_client(says(chance)):
                pass
        except (BrokenError, OSError) as error:
            with self._news:
                self._faults.append(error)
                self._news.notify()

    def _be_a_client(self, says: bytes) -> bool:
        """Connect, say something and wait for the answer; returns whether anybody took it."""
        try:
            client = self._daemon.connect(HOSTILE)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
        with client:
            if says:
                client.send(says)
            response = client.await_response()
        result = response.get("result")
        with self._news:
            self.told["that it ran" if result else response["error"]["message"]] += 1
            self._news.notify()
        return True


def _choices(seed: float) -> random.Random:
    return random.Random(seed)  # noqa: S311 - nothing is kept secret by it


def _ask(chance: random.Random) -> bytes:
    return make_request(chance.choice(("true", "sudo")))


def _stay(chance: random.Random) -> bytes:
    """Nothing, a part of a request, or one that takes long."""
    cut = make_request("true")[: chance.randrange(1, 60)]
    return chance.choice((b"", cut, make_script("sleep 600")))


def _check_log(daemon: Target, *, told: int) -> None:
    log = LogReader(daemon.world.log)
    last = log.read()[-1]
    recorded = log.finals[HOSTILE] + log.refused[HOSTILE]
    if recorded != told:
        raise BrokenError(f"{told} clients were told something, and {recorded} are in the log")
    if last["event"] != "daemon-stop":
        raise BrokenError(f"the log ends with {last}")
