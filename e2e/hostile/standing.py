"""Others served while somebody has a file system of their own, on which nothing ever answers."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from e2e.hostile.attack import Scene
from e2e.world.errors import NotHereError
from e2e.world.worker import start_module


@contextmanager
def forgotten(path: Path) -> Iterator[None]:
    """Have the kernel know nothing of the name of `path` until the end: it is called otherwise."""
    other = path.with_name(f"{path.name}-moved")
    path.rename(other)
    try:
        yield
    finally:
        other.rename(path)


@contextmanager
def stand(scene: Scene, module: str, *arguments: str) -> Iterator[None]:
    """Start `module`, wait until it says that it is there, and see that others are served until the
    end, when nobody waits for it any longer.

    Raises NotHereError where there can be none.
    """
    if os.geteuid() or not os.path.exists("/dev/fuse"):
        raise NotHereError("a file system of one's own needs root and /dev/fuse")
    owner = start_module(f"e2e.hostile.{module}", *arguments)
    try:
        if owner.stdout is None or not owner.stdout.readline():
            raise NotHereError("this machine mounts no file system of one's own")
        yield
        for _ in range(50):
            scene.daemon.ask_true()
    finally:
        owner.communicate()
