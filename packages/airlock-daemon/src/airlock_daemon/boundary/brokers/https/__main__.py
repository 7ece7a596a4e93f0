"""The parent of the workers, which the daemon starts as `python -m …brokers.https FD`.

FD is one end of a pair of stream sockets. For each `Fork` message, which carries one end of another
pair, the parent sends it back and forks a worker; `Kill` ends one that may hang. It has imported
what a worker needs, so a worker starts in milliseconds and shares its memory. It has no event loop
and no threads, which would not survive a fork. It exits when the daemon closes its end, and its
workers exit with it.

The parent has no PR_SET_PDEATHSIG: that signal is sent when the forking thread exits, and the
daemon starts processes from threads.

On Linux a worker that cannot be confined does not serve. macOS has none of these walls
(packages/airlock-daemon/SECURITY.md): a worker there has what every process of the daemon's user
has.
"""

import gc
import os
import select
import signal
import socket
import sys
import threading
from contextlib import suppress

import msgspec
import trio

from airlock_daemon.boundary.brokers.https.messages import (
    Kill,
    ToParent,
    answer_message,
    receive_message,
)
from airlock_daemon.boundary.brokers.https.worker import serve_agent
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.system import forbid_tracing

if sys.platform == "linux":
    from airlock_daemon.platform.linux.seccomp import isolate_child

# Sent to a whole session or service: the daemon ends first, after its requests.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(descriptor: int) -> None:
    """Fork workers until the daemon's end is closed."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    forbid_tracing()
    control = socket.socket(fileno=descriptor)
    ended, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    # Readable at its end once this process has ended.
    alive, held = os.pipe()
    decoder = msgspec.json.Decoder(ToParent)
    # Only this loop reaps, so that a pid here is that of a worker.
    pids: dict[int, int] = {}
    # A worker's collector skips frozen objects, so their pages stay shared.
    gc.collect()
    gc.freeze()
    while True:
        ready, _, _ = select.select([descriptor, ended], [], [])
        if ended in ready:
            os.read(ended, 65536)
            _reap(pids)
        if descriptor not in ready:
            continue
        received = receive_message(control)
        if received is None:
            return
        data, end = received
        message = decoder.decode(data)
        if isinstance(message, Kill):
            if message.worker in pids:
                os.kill(pids[message.worker], signal.SIGKILL)
            continue
        answer_message(control, data)
        if end is None:
            continue
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            # Closing `end` tells the daemon that there is no worker.
            print(
                f"airlock: no process can be started for the APIs of {message.agent}: "
                f"{error.strerror}; "
                "end other processes, or raise the limit: TasksMax= of the unit, ulimit -u",
                file=sys.stderr,
            )
            os.close(end)
            continue
        if pid == 0:
            control.close()
            for each in (held, ended, wakes):
                os.close(each)
            _work(end, parent, alive)
        pids[message.worker] = pid
        os.close(end)


def _reap(pids: dict[int, int]) -> None:
    """Wait for the workers that have ended, and forget them."""
    with suppress(ChildProcessError):
        while (pid := os.waitpid(-1, os.WNOHANG)[0]) != 0:
            for number in [number for number, each in pids.items() if each == pid]:
                del pids[number]


def _work(end: int, parent: int, alive: int) -> None:
    """Run the worker, then exit."""
    status = 1
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # What it publishes is for every user of a container.
        os.umask(0o022)
        if sys.platform == "linux":
            isolate_child(parent)
        else:
            threading.Thread(target=_die_at_end, args=(alive,), daemon=True).start()
        trio.run(serve_agent, socket.socket(fileno=end))
        status = 0
    except AirlockError as error:
        print(f"airlock: {error.message}; {error.hint}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(status)


def _die_at_end(alive: int) -> None:
    """Exit as soon as the parent has ended."""
    os.read(alive, 1)
    os._exit(1)


if __name__ == "__main__":
    main(int(sys.argv[1]))
