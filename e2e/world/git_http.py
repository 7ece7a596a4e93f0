"""A git server of this machine behind HTTP or TLS, in a separate process."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import BrokenError

_SERVER = (
    Path(__file__).parents[2] / "packages/airlock-daemon/tests/boundary/brokers/https_server.py"
)


@contextmanager
def running_git_http(root: Path, *, user: str, password: str, tls: Path | None) -> Iterator[str]:
    """Serve the repositories below `root` to that user; yields the address.

    `tls` is a directory for the server's key and certificate.pem; without one it speaks no TLS.
    """
    with subprocess.Popen(
        [sys.executable, str(_SERVER), str(tls or ""), str(root), user, password],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        # Ctrl-C goes to us; we then end it.
        start_new_session=True,
    ) as process:
        # Leaving the block closes its stdin, which ends it.
        assert process.stdout is not None
        address = process.stdout.readline().strip()
        if not address:
            raise BrokenError(f"{_SERVER} does not serve")
        yield address
