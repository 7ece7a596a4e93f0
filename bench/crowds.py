"""A load beside what is measured, made by `bench.load` in a process of its own."""

import contextlib
import select
import subprocess
from collections.abc import Iterator

import msgspec
from e2e.world.worker import start_module

from bench.deployment import Deployment
from bench.errors import BenchError
from bench.load import Counts, Kind
from bench.setup_files import CROWD


@contextlib.contextmanager
def crowding(
    deployment: Deployment, kind: Kind, *, count: int, size: int = 0, patience_s: float
) -> Iterator[Counts]:
    """Keep `count` clients of the agent `crowd` at a daemon for the length of the block.

    The block begins when each of them was seen; after it the counts say what they were answered.
    """
    counts = Counts()
    options = {
        "--socket": str(deployment.places.socket(CROWD)),
        "--count": str(count),
        "--directory": str(deployment.places.work),
        "--size": str(size),
    }
    words = [word for pair in options.items() for word in pair]
    process = start_module("bench.load", kind, *words)
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
        try:
            said, _ = process.communicate(timeout=patience_s)
        except subprocess.TimeoutExpired:
            raise BenchError(f"the load of {count} {kind} clients did not end") from None
        found = msgspec.json.decode(said, type=Counts)
        for name in counts.__struct_fields__:
            setattr(counts, name, getattr(found, name))
    finally:
        process.kill()
        process.wait()
        process.stdin.close()
        process.stdout.close()
