"""A delegated cgroup for a daemon, and the modes in which a box can be made."""

import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from airlock_daemon.boundary.command import Cgroup, Groups
from boxing import lack, needs_bubblewrap, needs_landlock

MAKERS = [
    pytest.param("require-bubblewrap", marks=needs_bubblewrap),
    pytest.param("landlock", marks=needs_landlock),
]
"""Values of `[sandbox] mode`, each run only where it works."""


@contextmanager
def handed_over() -> Iterator[Path]:
    """A cgroup marked as delegated, as systemd does; skips the test if there can be none."""
    own = Groups.locate(os.getpid())
    if own is None:
        lack("cgroups of version 2")
    path = Path(own.directory, f"airlock-{uuid.uuid4()}")
    try:
        path.mkdir()
        os.setxattr(path, "user.delegate", b"1")
    except OSError as error:
        lack(f"a cgroup of its own: {error}")
    yield path
    while not Cgroup(str(path)).remove():
        os.sched_yield()
