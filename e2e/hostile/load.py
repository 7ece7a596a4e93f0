"""An honest agent that works on while another one attacks."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from e2e.hostile.daemon import Target
from e2e.world.errors import BrokenError


@contextmanager
def honest_load(daemon: Target) -> Iterator[None]:
    """Run one command of the honest agent after the other until the block ends.

    Raises BrokenError at the end of the block if one of them was not carried out.
    """
    stop = threading.Event()
    faults: list[BaseException] = []

    def work() -> None:
        try:
            while not stop.is_set():
                daemon.ask_true()
        except (BrokenError, OSError) as error:
            faults.append(error)

    worker = threading.Thread(target=work)
    worker.start()
    try:
        yield
    finally:
        stop.set()
        worker.join()
    if faults:
        raise BrokenError(f"the honest agent was kept from working: {faults[0]}")
