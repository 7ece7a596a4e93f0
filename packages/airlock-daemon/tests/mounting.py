"""Mounts for tests: a process with a container's mount namespace, and small disks."""

import ctypes
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest


@contextmanager
def container(*words: str) -> Iterator[None]:
    """An idle process with these mounts (bwrap(1)) besides the system's."""
    own = ["bwrap", "--ro-bind", "/usr", "/usr", "--symlink", "usr/bin", "/bin"]
    own += ["--symlink", "usr/lib", "/lib", "--symlink", "usr/lib64", "/lib64", "--proc", "/proc"]
    command = [*own, *words, "/bin/sh", "-c", "echo up; exec cat"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        assert process.stdout.readline() == b"up\n"
        yield
        process.stdin.close()


@contextmanager
def small_disk(folder: Path) -> Iterator[None]:
    """A separate file system of 128 KiB at `folder`."""
    if os.geteuid() != 0:
        pytest.skip("mounting a tmpfs takes root")
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k,mode=0700", "none", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        pytest.skip(f"a tmpfs cannot be mounted here: {done.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def bound(source: Path, target: Path) -> Iterator[None]:
    """Have `source` at `target` as well, as root of the host can."""
    subprocess.run(["mount", "--bind", str(source), str(target)], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(target)], check=True)


@contextmanager
def unserved(folder: Path, *, options: str) -> Iterator[None]:
    """A FUSE file system with `options` at `folder` whose server has died."""
    if os.geteuid() != 0 or not os.path.exists("/dev/fuse"):
        pytest.skip("mounting a file system of one's own takes root and /dev/fuse")
    fuse = os.open("/dev/fuse", os.O_RDWR)
    words = f"fd={fuse},rootmode=40000,group_id=0,{options}".encode()
    # mount(8) looks at what it has mounted, and fails.
    failed = ctypes.CDLL(None).mount(b"none", os.fsencode(folder), b"fuse", 0, words)
    os.close(fuse)
    if failed:
        pytest.skip("a FUSE file system cannot be mounted here")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def full(folder: Path) -> Iterator[None]:
    """Fill the file system at `folder` for the length of the block."""
    path = folder / "ballast"
    with path.open("wb", buffering=0) as ballast, suppress(OSError):
        while True:
            ballast.write(b"x" * 512)
    yield
    path.unlink()
