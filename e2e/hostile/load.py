"""An honest agent that works on while another one attacks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.hostile.daemon import Target
from e2e.world.errors import BrokenError


class HonestAgent:
    """Runs one command after the other while it `works`."""

    def __init__(self, daemon: Target) -> None:
        self._daemon = daemon
        self._may_go_on = threading.Event()
        self._may_go_on.set()
        self._asking = threading.Lock()

    @contextmanager
    def working(self) -> Iterator[None]:
        """Work until the block ends.

        Raises BrokenError at the end of the block if a command was not carried out.
        """
        is_over = threading.Event()
        faults: list[BaseException] = []

        def work() -> None:
            try:
                while not is_over.is_set():
                    self._may_go_on.wait()
                    with self._asking:
                        self._daemon.ask_true()
            except (BrokenError, OSError) as error:
                faults.append(error)

        worker = threading.Thread(target=work)
        worker.start()
        try:
            yield
        finally:
            is_over.set()
            worker.join()
        if faults:
            raise BrokenError(f"the honest agent was kept from working: {faults[0]}")

    @contextmanager
    def pausing(self) -> Iterator[None]:
        """Ask for nothing until the block ends."""
        self._may_go_on.clear()
        try:
            with self._asking:
                yield
        finally:
            self._may_go_on.set()
