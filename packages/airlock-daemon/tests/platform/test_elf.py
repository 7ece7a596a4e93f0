"""What the kernel needs to execute a file, told by its headers."""

import os
import shutil
import struct
from pathlib import Path

import pytest

from airlock_daemon.command.launcher import find_launcher
from airlock_daemon.platform.linux.elf import find_kind

LOADERS = ("/lib64/ld-linux-x86-64.so.2", "/lib/ld-linux-aarch64.so.1")

# e_type, p_type, and an entry of the dynamic section with its flag.
EXECUTABLE, SHARED = 2, 3
DYNAMIC, INTERPRETER = 2, 3
FLAGS_1, IS_PROGRAM = 0x6FFFFFFB, 0x08000000


def make_elf(
    path: Path, *, shape: int, segments: tuple[int, ...] = (), flags: int | None = None
) -> str:
    """An ELF file of these types; with `flags` it has a dynamic section."""
    start = 64 + 56 * len(segments)
    dynamic = b"" if flags is None else struct.pack("<QQQQ", FLAGS_1, flags, 0, 0)
    head = struct.pack(
        "<4sBB10xHHIQQQIHHHHHH",
        b"\x7fELF",
        2,
        1,
        shape,
        62,
        1,
        *(0, 64, 0, 0, 64, 56),
        len(segments),
        0,
        0,
        0,
    )
    table = b"".join(
        struct.pack("<IIQQQQQQ", each, 0, start, 0, 0, len(dynamic), 0, 0) for each in segments
    )
    path.write_bytes(head + table + dynamic)
    return str(path)


def test_programs_of_this_host_are_told_apart() -> None:
    """A static one, one with a loader, and the loader, which is static too."""
    loader = next(each for each in LOADERS if os.path.exists(each))
    assert find_kind(find_launcher()) == "program"
    assert find_kind("/bin/echo") == "loaded"
    assert find_kind(loader) == "loader"


def test_a_loader_is_known_under_any_name(tmp_path: Path) -> None:
    """By what it is, not by what it is called."""
    loader = next(each for each in LOADERS if os.path.exists(each))
    assert find_kind(shutil.copy(loader, str(tmp_path / "terraform-provider-x"))) == "loader"


@pytest.mark.parametrize(
    ("shape", "segments", "flags", "kind"),
    [
        (EXECUTABLE, (), None, "program"),
        (EXECUTABLE, (1, INTERPRETER), None, "loaded"),
        (SHARED, (1, DYNAMIC), IS_PROGRAM | 1, "program"),
        (SHARED, (1, DYNAMIC), 1, "loader"),
        (SHARED, (INTERPRETER, DYNAMIC), IS_PROGRAM, "loaded"),
        (SHARED, (1,), None, "loader"),
    ],
)
def test_a_shared_object_is_a_program_where_it_says_so(
    tmp_path: Path, shape: int, segments: tuple[int, ...], flags: int | None, kind: str
) -> None:
    """As a static program does that can be at any address; a C library says nothing of the kind."""
    made = make_elf(tmp_path / "made", shape=shape, segments=segments, flags=flags)
    assert find_kind(made) == kind


def test_anything_else_needs_another_program(tmp_path: Path) -> None:
    """A script, a file cut short at any byte, a pipe, a directory, and nothing at all."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    os.mkfifo(tmp_path / "pipe")
    for path in (script, tmp_path / "pipe", tmp_path, tmp_path / "none"):
        assert find_kind(str(path)) == "loaded"
    whole = Path(
        make_elf(tmp_path / "e", shape=SHARED, segments=(1, DYNAMIC), flags=1)
    ).read_bytes()
    for length in range(64 + 56 + 40):
        script.write_bytes(whole[:length])
        assert find_kind(str(script)) == "loaded"
