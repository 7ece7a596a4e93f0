"""Clients that come one after the other, in threads, whatever becomes of the daemon meanwhile."""

import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from e2e.world.client import Client
from e2e.world.errors import BrokenError
from e2e.world.lines import make_request

Says = Callable[[random.Random], bytes]
"""What one client says, and is not answered before; it may be nothing."""

CUT = "nothing: the daemon was killed"

# How long a client that found nobody waits before it tries again.
_AGAIN_S = 0.002


class Crowd:
    """A thread for each of those who say something; every client waits until it is told something.

    `told` counts what they were told. It is an answer of the daemon's, or CUT.
    """

    def __init__(
        self,
        connect: Callable[[], Client],
        says: Sequence[Says],
        *,
        seed: float,
        comes_back: bool = False,
    ) -> None:
        """Start the threads; who finds nobody at `connect` ends, or tries again if `comes_back`."""
        self.told: Counter[str] = Counter()
        self._cuts_begun = self._cuts_over = 0
        self._connect = connect
        self._comes_back = comes_back
        self._is_over = threading.Event()
        self._faults: list[BaseException] = []
        self._news = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, args=(choices(seed + number), each))
            for number, each in enumerate(says)
        ]
        for thread in self._threads:
            thread.start()

    def await_answers(self, count: int) -> None:
        """Return when so many more were told something, or something went wrong."""
        with self._news:
            until = self.told.total() + count
            self._news.wait_for(lambda: self._faults or self.told.total() >= until)

    @contextmanager
    def being_cut(self) -> Iterator[None]:
        """Let clients that connect before the end of the block be cut off without a word."""
        self._cuts_begun += 1
        yield
        self._cuts_over += 1

    def end(self) -> None:
        """Let nobody come back any more."""
        self._is_over.set()

    def finish(self) -> Counter[str]:
        """Return what everybody was told, once the last one is gone; raises BrokenError."""
        self.end()
        for thread in self._threads:
            thread.join()
        if self._faults:
            raise BrokenError(str(self._faults[0]))
        return self.told

    def _work(self, chance: random.Random, says: Says) -> None:
        try:
            while self._be_a_client(says(chance)):
                pass
        except (BrokenError, OSError) as error:
            with self._news:
                self._faults.append(error)
                self._news.notify()

    def _be_a_client(self, says: bytes) -> bool:
        """Connect, say something and wait for the answer; returns whether another one may come."""
        if self._comes_back and self._is_over.is_set():
            return False
        cuts_over = self._cuts_over
        try:
            client = self._connect()
        except (ConnectionRefusedError, FileNotFoundError):
            return self._comes_back and not self._is_over.wait(_AGAIN_S)
        with client:
            if says:
                client.send(says)
            try:
                what = _read_answer(client)
            except BrokenError:
                if cuts_over == self._cuts_begun:
                    raise
                what = CUT
        with self._news:
            self.told[what] += 1
            self._news.notify()
        return True


def _read_answer(client: Client) -> str:
    response = client.await_response()
    return "that it ran" if "result" in response else str(response["error"]["message"])


def ask(chance: random.Random) -> bytes:
    """Something that is allowed, or that is not."""
    return make_request(chance.choice(("true", "sudo")))


def choices(seed: float) -> random.Random:
    """Return a source of choices that are the same each time."""
    return random.Random(seed)  # noqa: S311 - nothing is kept secret by it
