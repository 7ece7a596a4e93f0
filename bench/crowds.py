"""A load beside what is measured, made by `bench.load` in a process of its own."""

import contextlib
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec

from bench.deployment import Deployment
from bench.errors import BenchError
from bench.load import Counts, Kind
from bench.setup_files import CROWD

_ROOT = Path(__file__).resolve().parent.parent


@contextlib.contextmanager
def crowding(
    deployment: Deployment, kind: Kind, *, count: int, size: int = 0, patience_s: float
) -> Iterator[Counts]:
    """Keep `count` clients of the agent `crowd` at a daemon for the length of the block.

    The block begins when each of them was seen; after it the counts say what they were answered.
    """
    counts = Counts()
    options = {
        "--socket": deployment.places.socket(CROWD),
        "--count": str(count),
        "--directory": str(deployment.places.work),
        "--size": str(size),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.load", kind, *(w for pair in options.items() for w in pair)],
        cwd=_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        # Ctrl-C is for the run, which then ends this process.
        start_new_session=True,
    )
    assert process.stdout is not None
    assert process.stdin is not None
    try:
        if not select.select([process.stdout], [], [], patience_s)[0]:
            raise BenchError(
                f"the load of {count} {kind} clients did not stand in {patience_s:g} s"
            )
        if process.stdout.readline() != b"ready\n":
            raise BenchError(f"the load of {count} {kind} clients broke down, see above")
        yield counts
        said, _ = process.communicate(timeout=patience_s)
        found = msgspec.json.decode(said, type=Counts)
        for name in counts.__struct_fields__:
            setattr(counts, name, getattr(found, name))
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
