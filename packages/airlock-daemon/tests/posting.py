"""A process that posts a daemon's status without being one."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from airlock_daemon.setup.status import DaemonStatus

_POST = """
import os, signal, sys, msgspec
from airlock_daemon.setup.status import DaemonStatus
if sys.argv[3:]:
    signal.signal(signal.SIGHUP, lambda *_: os._exit(3))
directory = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
DaemonStatus.publish(msgspec.Raw(sys.argv[2].encode()), directory)
print("posted", flush=True)
sys.stdin.read()
"""


@contextmanager
def posted(
    directory: Path,
    status: DaemonStatus | str,
    *,
    before: Sequence[str] = (),
    named: str = "",
    umask: int = -1,
) -> Iterator[subprocess.Popen[str]]:
    """Post the status of a child process for the length of the block.

    `before` is a command prefix to run it. With `named`, the name of its script, it handles SIGHUP
    by exiting with status 3.
    """
    text = status if isinstance(status, str) else msgspec.json.encode(status).decode()
    script = directory.parent / (named or "post.py")
    script.write_text(_POST)
    argv = [*before, sys.executable, str(script), str(directory), text]
    argv += ["handle"] if named else []
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, text=True, umask=umask) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "posted\n"
        yield process
        process.stdin.close()
