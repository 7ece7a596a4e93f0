"""Launchers with a fault: built of the same sources with a few lines of them replaced."""

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

_CHECKOUT = Path(__file__).parents[3]
SOURCES = _CHECKOUT / "packages/airlock-daemon/native"
_KEPT = _CHECKOUT / "packages/airlock-daemon/.zig-cache/mutants"

Change = tuple[str, str, str]
"""A file, a text that stands in it exactly once, and what stands there instead."""

_FILTER = (
    ("tool.zig", "if (seccomp.confine(fence.sockets)) |errno|", "if (no(fence.sockets)) |errno|"),
    (
        "tool.zig",
        "fn prepare(",
        "fn no(_: seccomp.Sockets) ?linux.E {\n    return null;\n}\n\nfn prepare(",
    ),
    (
        "command.zig",
        "if (seccomp.confine(wanted.sockets)) |errno|",
        "if (no(wanted.sockets)) |errno|",
    ),
    (
        "command.zig",
        "pub fn runBoxed(",
        "fn no(_: seccomp.Sockets) ?linux.E {\n    return null;\n}\n\npub fn runBoxed(",
    ),
)
_DUMPABLE = ("preparation.zig", "if (set(.SET_DUMPABLE, 0))", "if (set(.SET_DUMPABLE, 1))")
CHANGES: Mapping[str, tuple[Change, ...]] = {
    "filter": _FILTER,
    "sockets": _FILTER,
    "ipc": (*_FILTER, ("box.zig", '{ "/tmp", "/dev/shm" };', '{"/tmp"};')),
    "keys": _FILTER,
    "privileges": (("box.zig", "    return dropCapabilities();", "    return null;"),),
    "environment": (_DUMPABLE,),
    "processes": (
        ("box.zig", 'if (mount("proc", "/proc", "proc", quiet, null)) |errno| return errno;', ""),
        (
            "box.zig",
            'if (write("/proc/sys/user/max_user_namespaces", "1")) |errno| return errno;',
            "",
        ),
        (
            "box.zig",
            'if (mount("proc", "/proc", "proc", quiet, "subset=pid")) |errno| return errno;',
            "",
        ),
        _DUMPABLE,
    ),
    "directory": (
        ("place.zig", "return if (is_it) null else .STALE;", "return if (is_it) null else null;"),
    ),
    "covers": (
        (
            "mounts.zig",
            "if (is_known) if (compare(target, expected)) |errno| return errno;",
            "if (is_known) if (compare(target, expected)) |_| {};",
        ),
    ),
    "later": (("box.zig", "linux.MS.REC | linux.MS.PRIVATE", "linux.MS.REC | linux.MS.SLAVE"),),
    "descriptors": (
        ("preparation.zig", "close_range, first, last", "close_range, 1000, last"),
        ("tool.zig", "close_range, first, ", "close_range, 1000, "),
    ),
}
"""What is replaced, by the guard that is off then; guards of the daemon itself are absent."""

FENCE_OFF = ("files", "filter", "keys", "devices")
"""Guards that a box by Landlock has as well, and that can be off there."""


def make(guard: str) -> Path | None:
    """The launcher without a guard, built unless it was; None where the guard is none of its.

    Raises ValueError where a text to be replaced is not there once, CalledProcessError.
    """
    changes = CHANGES.get(guard)
    if changes is None:
        return None
    return _build_once("main.zig", changes)


def _build_once(main: str, changes: tuple[Change, ...]) -> Path:
    digest = hashlib.sha256(repr((main, changes)).encode())
    for path in sorted(SOURCES.rglob("*.zig")):
        digest.update(path.read_bytes())
    binary = _KEPT / digest.hexdigest()[:16] / "airlock-launch"
    if not binary.exists():
        binary.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix="airlock-mutant-") as folder:
            _build(Path(folder, "native"), main, changes, binary)
    return binary


def _build(sources: Path, main: str, changes: tuple[Change, ...], binary: Path) -> None:
    shutil.copytree(SOURCES, sources)
    for name, text, other in changes:
        path = sources / name
        content = path.read_text()
        if content.count(text) != 1:
            raise ValueError(f"{name} has {content.count(text)} times: {text}")
        path.write_text(content.replace(text, other))
    cache = str(_KEPT.parent)
    made = binary.with_name(f"made-{os.getpid()}")
    command = [sys.executable, "-m", "ziglang", "build-exe", str(sources / main)]
    command += ["-target", f"{os.uname().machine}-linux-none", "-fsingle-threaded"]
    command += ["-O", "ReleaseSafe", "-fstrip", "--stack", "65536"]
    command += ["--cache-dir", cache, "--global-cache-dir", cache, f"-femit-bin={made}"]
    subprocess.run(command, check=True)
    made.chmod(0o755)
    made.replace(binary)
