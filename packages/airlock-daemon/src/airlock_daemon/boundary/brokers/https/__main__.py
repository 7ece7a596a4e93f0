"""The parent of the workers, which the daemon starts as `python -m …brokers.https FD`.

FD is one end of a pair of SOCK_SEQPACKET sockets. For each `Fork` that comes with the end of
another pair the parent forks a worker for that. It has imported what a worker needs, so that one is
there in milliseconds and shares its memory; it runs no event loop and no thread, which would not
survive a fork. It ends when the daemon closes its end, and its workers with it.

The daemon has no PR_SET_PDEATHSIG set here: that signal comes when the thread ends that has forked,
and the daemon starts processes in threads.
"""

import gc
import os
import signal
import socket
import sys

import msgspec
import trio

from airlock_daemon.boundary.brokers.https.messages import Fork, receive_message
from airlock_daemon.boundary.brokers.https.worker import serve_agent
from airlock_daemon.errors import AirlockError
from airlock_daemon.platform.linux.privileges import drop_capabilities, forbid_tracing
from airlock_daemon.platform.linux.seccomp import die_with_parent, forbid_executing

# Whoever ends the daemon's session or service ends the daemon first, which has requests to end.
_IGNORED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main(descriptor: int) -> None:
    """Fork workers until the daemon's end is closed."""
    for number in _IGNORED:
        signal.signal(number, signal.SIG_IGN)
    # Nobody waits for workers.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    forbid_tracing()
    control = socket.socket(fileno=descriptor)
    decoder = msgspec.json.Decoder(Fork)
    # What is there now is not looked at by a worker's collector, and so stays shared.
    gc.collect()
    gc.freeze()
    while (received := receive_message(control)) is not None:
        data, end = received
        if end is None:
            continue
        agent = decoder.decode(data).agent
        parent = os.getpid()
        try:
            pid = os.fork()
        except OSError as error:
            # Closing the end says to the daemon that there is no worker.
            print(
                f"airlock: no process can be started for the APIs of {agent}: {error.strerror}; "
                "end other processes, or raise the limit: TasksMax= of the unit, ulimit -u",
                file=sys.stderr,
            )
            pid = -1
        if pid == 0:
            control.close()
            _work(end, parent)
        os.close(end)


def _work(end: int, parent: int) -> None:
    """Be a worker, and exit."""
    status = 1
    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        die_with_parent(parent)
        drop_capabilities()
        forbid_executing()
        trio.run(serve_agent, socket.socket(fileno=end))
        status = 0
    except AirlockError as error:
        print(f"airlock: {error.message}; {error.hint}", file=sys.stderr)
    finally:
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main(int(sys.argv[1]))
