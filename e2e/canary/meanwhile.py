"""Something that is done again and again while an attack is tried."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress


@contextmanager
def meanwhile(act: Callable[[], object], *, pause: Callable[[], float]) -> Iterator[None]:
    """Repeat `act` in a thread for as long as the context lasts, as another process would.

    `pause` says how many seconds are between two times, which may be 0.
    """
    is_over = threading.Event()

    def repeat() -> None:
        while not is_over.wait(pause()):
            with suppress(OSError):
                act()

    thread = threading.Thread(target=repeat)
    thread.start()
    try:
        yield
    finally:
        is_over.set()
        thread.join()
