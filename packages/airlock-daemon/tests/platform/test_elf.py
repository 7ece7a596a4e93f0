"""What the kernel needs to execute a file, told by its headers."""

import os
import struct
import subprocess
from pathlib import Path

import pytest

from airlock_daemon.boundary.command.launcher import find_launcher
from airlock_daemon.platform.linux.elf import Headers, Loaded, find_loaded, read_headers

# e_type, p_type, and tags of the dynamic section.
EXECUTABLE, SHARED = 2, 3
LOAD, DYNAMIC, INTERPRETER = 1, 2, 3
NEEDED, STRINGS = 1, 5
HUGE = (1 << 64) - 1

Segment = tuple[int, int, int, int]
"""The type, the place in the file, the address, and the length."""


def make_elf(
    path: Path,
    *segments: Segment,
    shape: int = SHARED,
    behind: bytes = b"",
    table: tuple[int, int, int | None] = (64, 56, None),
) -> str:
    """An ELF file of these segments, and what stands `behind` them.

    `table` says where they are, and of which size, and how many, if not what is so.
    """
    place, size, count = table
    places = (0, place, 0, 0, 64, size, len(segments) if count is None else count)
    identity = struct.pack("<4sBB10x", b"\x7fELF", 2, 1)
    head = identity + struct.pack("<HHIQQQIHHHHHH", shape, 62, 1, *places, 0, 0, 0)
    packed = [
        struct.pack("<IIQQQQQQ", kind, 0, start, address, 0, length, 0, 0)
        for kind, start, address, length in segments
    ]
    path.write_bytes(head + b"".join(packed) + behind)
    return str(path)


def dynamic(*entries: tuple[int, int]) -> bytes:
    """A dynamic section with its end."""
    return b"".join(struct.pack("<QQ", *entry) for entry in (*entries, (0, 0)))


@pytest.mark.parametrize(
    "table",
    [
        (HUGE, 56, 1),
        (1 << 63, 56, 1),
        (64, 56, 65535),
        (64, 65535, 65535),
        (64, 0, 1),
        (64, 32, 1),
        (1 << 40, 56, 1),
    ],
)
def test_a_table_that_is_no_table_is_refused(tmp_path: Path, table: tuple[int, int, int]) -> None:
    """It lies outside of the file, or of what a number can say, or has entries of another size."""
    made = make_elf(tmp_path / "made", (LOAD, 0, 0, 0), shape=EXECUTABLE, table=table)
    assert read_headers(made) is None


NAMED = dynamic((NEEDED, 0), (STRINGS, 0x1000))
# Behind four entries of the table.
BEHIND = 64 + 4 * 56
USUAL: tuple[Segment, ...] = (
    (LOAD, 0, 0x1000, 0x1000),
    (LOAD, 0, 0x9000, 0x1000),
    (DYNAMIC, BEHIND, 0, len(NAMED)),
    (INTERPRETER, BEHIND + len(NAMED), 0, 8),
)


@pytest.mark.parametrize(
    ("number", "segment"),
    [
        # The names stand at two places, and at none.
        (1, (LOAD, 64, 0x800, 0x1000)),
        (1, (LOAD, 64, 0, HUGE)),
        (0, (LOAD, 0, 0x8000, 0x1000)),
        (0, (LOAD, 0, 0x1000, 0)),
        # Two of what there is one of.
        (1, (INTERPRETER, BEHIND, 0, 8)),
        (1, (DYNAMIC, BEHIND, 0, len(NAMED))),
    ],
)
def test_what_can_be_read_in_two_ways_is_refused(
    tmp_path: Path, number: int, segment: Segment
) -> None:
    """The kernel, the loader and this would each take another of them."""
    behind = NAMED + b"/loader\0"
    usual = make_elf(tmp_path / "usual", *USUAL, behind=behind)
    assert read_headers(usual) == Headers(loader="/loader", needed=("\x7fELF\2\1",))
    changed = (*USUAL[:number], segment, *USUAL[number + 1 :])
    assert read_headers(make_elf(tmp_path / "changed", *changed, behind=behind)) is None


@pytest.mark.parametrize(
    ("number", "segment", "found"),
    [
        (0, (LOAD, HUGE, 0x1000, 0x1000), Headers(loader="/loader", needed=("",))),
        (2, (DYNAMIC, HUGE, 0, HUGE), Headers(loader="/loader")),
        (
            3,
            (INTERPRETER, HUGE, 0, HUGE),
            Headers(loader="", needed=("\x7fELF\2\1",)),
        ),
    ],
)
def test_what_lies_outside_of_the_file_is_empty(
    tmp_path: Path, number: int, segment: Segment, found: Headers
) -> None:
    """However large its numbers are."""
    changed = (*USUAL[:number], segment, *USUAL[number + 1 :])
    made = make_elf(tmp_path / "made", *changed, behind=NAMED + b"/loader\0")
    assert read_headers(made) == found
    assert find_loaded(made) in (None, Loaded("/loader", ()))


def test_more_names_than_any_file_has_are_not_looked_up(tmp_path: Path) -> None:
    """Each would be searched in every directory of libraries."""
    behind = dynamic(*[(NEEDED, 0)] * 2000, (STRINGS, 0x1000))
    segments = ((LOAD, 0, 0x1000, 0x1000), (DYNAMIC, 64 + 2 * 56, 0, len(behind)))
    assert read_headers(make_elf(tmp_path / "made", *segments, behind=behind)) is None


def test_a_library_that_needs_itself_is_named_once(tmp_path: Path) -> None:
    """Where one follows what is needed, a loop has an end."""
    library = tmp_path / "loop"
    name = os.fsencode(library) + b"\0"
    behind = dynamic((NEEDED, 0), (STRINGS, 0x1000))
    place = 64 + 2 * 56
    segments = (
        (LOAD, place + len(behind), 0x1000, 0x1000),
        (DYNAMIC, place, 0, len(behind)),
    )
    make_elf(library, *segments, behind=behind + name)
    assert find_loaded(str(library)) == Loaded(None, (str(library),))


def test_anything_else_needs_another_program(tmp_path: Path) -> None:
    """A script, a file cut short at any byte, a pipe, a directory, and nothing at all."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    os.mkfifo(tmp_path / "pipe")
    for path in (script, tmp_path / "pipe", tmp_path, tmp_path / "none"):
        assert read_headers(str(path)) is None
    segments = ((LOAD, 0, 0, 0), (DYNAMIC, 64 + 2 * 56, 0, 16))
    whole = Path(make_elf(tmp_path / "e", *segments)).read_bytes()
    assert read_headers(str(tmp_path / "e")) is not None
    for length in range(len(whole)):
        script.write_bytes(whole[:length])
        assert read_headers(str(script)) is None


@pytest.mark.parametrize("program", ["/bin/sh", "/usr/bin/python3", "/usr/bin/git", "/usr/bin/ssh"])
def test_nothing_is_missing_that_the_loader_would_map(program: str) -> None:
    """By their real paths, without the kernel's own."""
    found = find_loaded(program)
    assert found is not None
    assert found.loader is not None
    listed = subprocess.run(
        [found.loader, "--list", program], capture_output=True, text=True, check=True
    )
    named = [line.split("=>")[1].split()[0] for line in listed.stdout.splitlines() if "=>" in line]
    needed = {str(Path(each).resolve()) for each in named} - {found.loader}
    assert needed
    assert needed <= set(found.libraries)


def test_a_static_program_needs_nothing() -> None:
    """As the launcher is one."""
    assert find_loaded(find_launcher()) == Loaded(None, ())


def test_what_is_no_program_is_told_apart(tmp_path: Path) -> None:
    """A script, what is cut off, and what is not there."""
    script, short = tmp_path / "script", tmp_path / "short"
    script.write_text("#!/bin/sh\n")
    short.write_bytes(Path("/bin/sh").read_bytes()[:100])
    assert [find_loaded(str(each)) for each in (script, short, tmp_path / "none")] == [None] * 3
