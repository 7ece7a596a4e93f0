"""A box's seccomp filter and limits, as built by the launcher's sources."""

import atexit
import fcntl
import functools
import hashlib
import importlib.util
import itertools
import operator
import os
import platform
import re
import shutil
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from launching import PACKAGE

PROCESSORS = ("x86_64", "aarch64")
SOCKETS = ("none", "inet", "unix", "inet_and_unix", "inet_and_udp")

# linux/audit.h
MACHINES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}

# linux/seccomp.h
ALLOW = 0x7FFF0000
KILL = 0x80000000
ERRNO = 0x00050000

# More system call numbers than the kernel will have for years; those of x32 have this bit.
NUMBERS = range(512)
X32 = 0x40000000

# RLIM_INFINITY
UNLIMITED = (1 << 64) - 1

_LOAD, _AND, _JUMP, _RETURN = 0x20, 0x54, 0x05, 0x06
_TESTS: Mapping[int, Callable[[int, int], bool]] = {
    0x15: operator.eq,
    0x25: operator.gt,
    0x35: operator.ge,
    0x45: lambda accumulator, value: bool(accumulator & value),
}


@functools.cache
def build_confined(processor: str = platform.machine()) -> str:
    """The path of a static program with both (native/confined.zig), which every user may run.

    It is compiled only if its sources changed, and by one process at a time.
    """
    cache = PACKAGE / ".zig-cache"
    command = [sys.executable, "-m", "ziglang", "build-exe", "native/confined.zig"]
    command += ["-target", f"{processor}-linux-none", "-O", "ReleaseSmall", "-fsingle-threaded"]
    command += ["--cache-dir", str(cache), "--global-cache-dir", str(cache)]
    digest = hashlib.sha256(f"{version('ziglang')} {command}".encode())
    for source in sorted((PACKAGE / "native").rglob("*.zig")):
        digest.update(source.read_bytes())
    kept = cache / f"confined-{digest.hexdigest()}"
    cache.mkdir(exist_ok=True)
    with open(f"{kept}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not kept.exists():
            made = f"{kept}.made"
            subprocess.run([*command, f"-femit-bin={made}"], cwd=PACKAGE, check=True)
            os.rename(made, kept)
    folder = tempfile.mkdtemp(prefix="confined-")
    atexit.register(shutil.rmtree, folder)
    os.chmod(folder, 0o755)
    return shutil.copy(kept, os.path.join(folder, "confined"))


@dataclass(frozen=True)
class Call:
    """A filter's input (struct seccomp_data of linux/seccomp.h)."""

    number: int
    machine: int
    arguments: tuple[int, ...] = ()

    def encode(self) -> bytes:
        """The fields as in memory; missing arguments are 0."""
        padded = (*self.arguments, *(0,) * 6)[:6]
        return struct.pack("<IIQ6Q", self.number, self.machine, 0, *padded)


class Program:
    """A filter in the kernel's format, interpreted as linux/filter.h specifies."""

    def __init__(self, code: bytes) -> None:
        """Decode the instructions, 8 bytes each."""
        self.instructions = list(struct.iter_unpack("<HBBI", code))

    def answer(self, call: Call) -> int:
        """Its verdict on the call. Fails for a jump out of bounds or an unknown instruction."""
        return self.follow(call)[0]

    def follow(self, call: Call) -> tuple[int, bool]:
        """The verdict, and whether the filter read an argument to reach it."""
        data = call.encode()
        at = accumulator = 0
        looked = False
        while True:
            code, if_true, if_false, value = self.instructions[at]
            at += 1
            if code == _LOAD:
                (accumulator,) = struct.unpack_from("<I", data, value)
                looked = looked or value >= struct.calcsize("<IIQ")
            elif code == _AND:
                accumulator &= value
            elif code == _JUMP:
                at += value
            elif code == _RETURN:
                return value, looked
            else:
                at += if_true if _TESTS[code](accumulator, value) else if_false


@functools.cache
def load_program(processor: str, sockets: str) -> Program:
    """The filter of a box with these sockets, for this processor."""
    return _show("show", processor, sockets)


@functools.cache
def load_unboxed(processor: str) -> Program:
    """The filter of what runs outside of boxes, for this processor."""
    return _show("unboxed", processor)


def _show(*words: str) -> Program:
    command = [build_confined(), *words]
    return Program(subprocess.run(command, capture_output=True, check=True).stdout)


@functools.cache
def read_numbers(processor: str) -> Mapping[str, int]:
    """The number of each call by name, from the kernel headers of the compiler."""
    folder = {"x86_64": "x86-linux-any", "aarch64": "aarch64-linux-any"}[processor]
    compiler = importlib.util.find_spec("ziglang")
    assert compiler is not None
    assert compiler.origin is not None
    headers = Path(compiler.origin).parent / "lib" / "libc" / "include" / folder / "asm"
    text = (headers / "unistd_64.h").read_text()
    found = re.findall(r"^#define __NR_(\w+)\s+(\d+)$", text, re.MULTILINE)
    return {name: int(number) for name, number in found}


def make_calls(processor: str, name: str, *arguments: int) -> Iterator[Call]:
    """The call with these arguments, and with other high halves, which the kernel drops."""
    number, machine = read_numbers(processor)[name], MACHINES[processor]
    for high in (0, 1 << 32, 0xFFFFFFFF << 32):
        yield Call(number, machine, tuple(high | each & 0xFFFFFFFF for each in arguments))


def vary(call: Call, values: Sequence[int]) -> Iterator[Call]:
    """The call with every pair of the values as two of its first three arguments, 0 as the third.

    No filter judges a call by three.
    """
    for places in itertools.combinations(range(3), 2):
        for pair in itertools.product(values, repeat=2):
            given = dict(zip(places, pair, strict=True))
            yield Call(call.number, call.machine, tuple(given.get(place, 0) for place in range(3)))


def run_filtered(
    sockets: str, command: Sequence[str], *, directory: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a program by its path under the filter, to its end; its output is text."""
    words = [build_confined(), "run", sockets, *command]
    return subprocess.run(words, capture_output=True, text=True, check=False, cwd=directory)


def limit(
    *,
    processes: int = UNLIMITED,
    data: int = UNLIMITED,
    file_size: int = UNLIMITED,
    open_files: int = UNLIMITED,
) -> list[str]:
    """The command prefix that runs a program by its path with these limits."""
    numbers = (processes, data, file_size, open_files)
    return [build_confined(), "limit", *map(str, numbers)]
