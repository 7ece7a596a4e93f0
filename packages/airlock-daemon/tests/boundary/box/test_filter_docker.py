"""The filter of a box beside that of a container, as the docker engine here gives it."""

import ctypes
import errno
import os
import platform
import subprocess
import sys
import uuid
from collections.abc import Iterator

import pytest

from confining import (
    ALLOW,
    ERRNO,
    MACHINES,
    NUMBERS,
    SOCKETS,
    Call,
    Program,
    build_confined,
    load_program,
    vary,
)
from engines import has_engine
from launching import can_build

# linux/ptrace.h
PTRACE_DETACH, PTRACE_SEIZE, PTRACE_INTERRUPT = 17, 0x4206, 0x4207
PTRACE_SECCOMP_GET_FILTER = 0x420C
WALL = 0x40000000  # __WALL of wait(2): threads too


pytestmark = [
    pytest.mark.skipif(sys.platform != "linux", reason="the launcher is for Linux"),
    pytest.mark.skipif(not can_build(), reason="needs ziglang"),
    pytest.mark.skipif(
        os.geteuid() != 0 or not has_engine(), reason="needs root and a docker engine"
    ),
    pytest.mark.usefixtures("confined"),
]


@pytest.fixture(scope="module")
def dockers() -> Iterator[Program]:
    """The filter of a container by this engine, read from the kernel."""
    name = f"airlock-filter-{uuid.uuid4().hex[:8]}"
    empty = subprocess.run(["tar", "-cT", "/dev/null"], capture_output=True, check=True).stdout
    subprocess.run(["docker", "import", "-", name], input=empty, capture_output=True, check=True)
    mount = f"{build_confined()}:/confined:ro"
    command = ["docker", "run", "-i", "--rm", "--network=none", "--name", name, "-v", mount]
    try:
        with subprocess.Popen(
            [*command, name, "/confined", "wait"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as container:
            assert container.stdout is not None
            assert container.stdout.readline() == b"waiting\n"
            ask = ["docker", "inspect", "-f", "{{.State.Pid}}", name]
            pid = int(subprocess.run(ask, capture_output=True, check=True).stdout)
            yield Program(read_filter(pid))
            container.communicate()
    finally:
        subprocess.run(["docker", "rmi", "-f", name], capture_output=True, check=False)


def read_filter(pid: int) -> bytes:
    """The instructions of the one filter that the process has (ptrace(2))."""
    trace = ctypes.CDLL(None, use_errno=True).ptrace
    assert trace(PTRACE_SEIZE, pid, None, None) == 0, os.strerror(ctypes.get_errno())
    trace(PTRACE_INTERRUPT, pid, None, None)
    os.waitpid(pid, WALL)
    count = trace(PTRACE_SECCOMP_GET_FILTER, pid, None, None)
    assert count > 0, os.strerror(ctypes.get_errno())
    code = ctypes.create_string_buffer(8 * count)
    assert trace(PTRACE_SECCOMP_GET_FILTER, pid, None, code) == count
    assert trace(PTRACE_SECCOMP_GET_FILTER, pid, ctypes.c_void_p(1), None) == -1
    trace(PTRACE_DETACH, pid, None, None)
    return code.raw


# Numbers, flags, domains, types and requests that one of the two filters may judge by.
VALUES = (0, 1, 2, 5, 8, 10, 16, 17, 38, 40, 62, 0x5412, 0x20008, 0x40000, 0x10000011, 0xFFFFFFFF)


@pytest.mark.parametrize("sockets", SOCKETS)
def test_no_call_is_allowed_that_docker_refuses(dockers: Program, sockets: str) -> None:
    """A box's filter is no weaker than docker's default, whatever the number and the arguments."""
    ours, machine = load_program(platform.machine(), sockets), MACHINES[platform.machine()]
    allowed = refused_here = 0
    for number in NUMBERS:
        call = Call(number, machine)
        is_judged = ours.follow(call)[1] or dockers.follow(call)[1]
        for each in vary(call, VALUES) if is_judged else [call]:
            if ours.answer(each) == ALLOW:
                # ENOSYS: the call is newer than the engine.
                assert dockers.answer(each) in {ALLOW, ERRNO | errno.ENOSYS}, each
                allowed += 1
            elif dockers.answer(each) == ALLOW:
                refused_here += 1
    assert allowed > 200
    assert refused_here > 20
