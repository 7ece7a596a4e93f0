"""A process that puts up a daemon's status, and is none."""

import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec

from airlock_daemon.setup.status import DaemonStatus

_POST = """
import os, signal, sys, msgspec
from airlock_daemon.setup.status import DaemonStatus, publish_status
if sys.argv[3:]:
    signal.signal(signal.SIGHUP, lambda *_: os._exit(3))
directory = os.open(sys.argv[1], os.O_RDONLY | os.O_DIRECTORY)
publish_status(directory, msgspec.Raw(sys.argv[2].encode()))
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
    """The status of another process, for as long as the block lasts; it is a child of ours.

    `before` are the words that run it in some other way. With `named`, which is what its script is
    called then, it has a handler for SIGHUP, by which it ends with 3.
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
