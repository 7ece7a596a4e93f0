"""A container as the kernel shows one: a process with a root and mounts of its own."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def container(*words: str) -> Iterator[None]:
    """A process with these mounts (bwrap(1)) beside the system's, which asks for nothing."""
    own = ["bwrap", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"]
    own += ["--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc"]
    command = [*own, *words, "/bin/sh", "-c", "echo up; exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"up\n"
        yield
        process.stdin.close()
