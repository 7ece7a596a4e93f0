"""Signals of the reference shim: kept as they come, until it is known what to do with them."""

import os
import signal
from types import FrameType

_KEPT = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
    signal.SIGWINCH,
)


class KeptSignals:
    """Signals that came and were not taken yet. `descriptor` is readable when there are some.

    What was ignored when the shim started stays ignored.
    """

    def __init__(self) -> None:
        self.descriptor, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        signal.set_wakeup_fd(self._wake)
        self._came: list[signal.Signals] = []
        for number in _KEPT:
            if signal.getsignal(number) is not signal.SIG_IGN:
                signal.signal(number, self._keep)

    def take(self) -> list[signal.Signals]:
        """Return the signals that came since the last call, in their order."""
        os.read(self.descriptor, 4096)
        came, self._came = self._came, []
        return came

    def _keep(self, number: int, _: FrameType | None) -> None:
        self._came.append(signal.Signals(number))


def die(number: signal.Signals) -> None:
    """End this process by a signal, as if it had never been handled."""
    signal.signal(number, signal.SIG_DFL)
    os.kill(os.getpid(), number)
