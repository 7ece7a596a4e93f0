"""A daemon that has stopped serving, and does not come to its end."""

import signal

from running import Daemon
from worlds import World

# What hangs there may be anything, such as what was to be told where there is no memory left.
_HANGING = """\
import signal
import sys
from airlock_daemon.admin.cli import main
from airlock_daemon.serving.daemon import daemon
daemon.EXIT_S = 1
daemon.DaemonState.close = lambda _: signal.pause()
sys.exit(main())
"""


def test_it_is_ended_so_that_another_one_is_started(world: World) -> None:
    """By a signal, which a service manager takes for a failure."""
    with Daemon(world, program=("-c", _HANGING)) as daemon:
        assert daemon.stop() == -signal.SIGALRM
