"""Tests of `airlock_daemon.platform.linux.mountinfo`."""

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from airlock_daemon.path_text import relative_to
from airlock_daemon.platform.linux.mountinfo import MountRow, MountTable, MountWatch

CONTAINER = r"""
612 500 0:52 / / rw,relatime - overlay overlay rw,lowerdir=/a:/b
613 612 0:55 / /proc rw,nosuid - proc proc rw
620 612 254:1 /home/me/src /workspace rw,relatime - ext4 /dev/vda1 rw
621 620 254:1 /home/me/cache /workspace/node_modules ro,relatime - ext4 /dev/vda1 rw
622 612 254:1 /home/me/with\040space /with\040space rw shared:3 master:1 - ext4 /dev/vda1 rw
""".lstrip()

HOST = r"""
20 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
21 20 254:1 /srv /mnt/srv rw - ext4 /dev/vda1 rw
22 20 0:30 / /run rw - tmpfs tmpfs rw
""".lstrip()

find_changes = MountWatch.find_changes


def test_escapes_and_optional_fields_are_read() -> None:
    """A mount point with a space is read as such, however many optional fields stand before it."""
    row = MountTable.parse(CONTAINER)[-1]
    assert (row.point, row.root, row.kind) == ("/with space", "/home/me/with space", "ext4")


def test_rows_of_another_form_are_left_out() -> None:
    """A line that is no mount does not hide the others."""
    assert len(MountTable.parse("nonsense\n1 2 3\n" + HOST)) == 3


def test_the_longest_mount_point_answers() -> None:
    """A nested mount answers for what lies below it, the outer one for the rest."""
    rows = MountTable.parse(CONTAINER)
    nested = rows.find("/workspace/node_modules/x")
    outer = rows.find("/workspace/src")
    root = rows.find("/workspaces")
    assert nested is not None
    assert outer is not None
    assert root is not None
    assert (nested.root, nested.read_only) == ("/home/me/cache", True)
    assert (outer.root, outer.read_only) == ("/home/me/src", False)
    assert root.point == "/"


def test_the_later_of_two_mounts_at_one_point_answers() -> None:
    """What was mounted over another mount hides it."""
    rows = MountTable.parse(
        "1 0 8:1 /old /w rw - ext4 /dev/a rw\n2 1 8:1 /new /w rw - ext4 /dev/a rw\n"
    )
    found = rows.find("/w/x")
    assert found is not None
    assert found.root == "/new"


def test_interfaces_of_the_kernel_are_told_from_places_for_files() -> None:
    """proc is marked, ext4 is not."""
    kinds = {row.point: row.is_pseudo for row in MountTable.parse(CONTAINER)}
    assert kinds["/proc"]
    assert not kinds["/workspace"]


def find_shown(host: MountTable, root: str, *, device: str = "254:1") -> list[str]:
    """Where a host has what a container mounts of that device."""
    row = MountRow(900, device, root, "/w", read_only=False, kind="ext4")
    return list(host.find_shown(row))


def test_a_directory_of_a_device_is_found_on_the_host() -> None:
    """Each host mount that shows the directory is named with the path where it shows it."""
    rows = MountTable.parse(HOST)
    assert find_shown(rows, "/home/me/src") == ["/home/me/src"]
    assert find_shown(rows, "/srv/app") == ["/srv/app", "/mnt/srv/app"]
    assert find_shown(rows, "/", device="0:52") == []
    over = MountTable.parse(f"{HOST}23 20 0:60 / /srv rw - tmpfs tmpfs rw\n")
    assert find_shown(over, "/srv/app") == ["/mnt/srv/app"]


def test_relative_to_does_not_confuse_names_that_begin_alike() -> None:
    """A sibling whose name continues the directory's is outside."""
    assert relative_to("/a/b", "/a") == "b"
    assert relative_to("/a", "/a") == ""
    assert relative_to("/ab", "/a") is None
    assert relative_to("/x", "/") == "x"


def test_what_came_went_or_became_another_is_told_by_its_mount_point() -> None:
    """In whatever order; a line that cannot be read concerns everything."""
    before = CONTAINER + HOST
    assert find_changes(before, "\n".join(reversed(before.splitlines()))) == ()
    assert find_changes(before, HOST + CONTAINER.replace("shared:3", "shared:4")) == (
        "/with space",
        "/with space",
    )
    for changes in (
        find_changes(before, CONTAINER),
        find_changes(CONTAINER, before),
    ):
        assert sorted(changes) == ["/", "/mnt/srv", "/run"]
    assert find_changes(before, before + "nonsense\n") == ("/",)


def search(rows: Sequence[MountRow], path: str) -> MountRow | None:
    """The last of the rows with the longest point that contains the path."""
    holding = [row for row in rows if relative_to(path, row.point) is not None]
    return max(reversed(holding), key=lambda row: len(row.point), default=None)


def test_the_mount_of_a_path_is_that_of_the_longest_point_above_it() -> None:
    """Of several mounts at one point the last; nothing where none is, and by each way of writing.

    POSIX has two slashes at the beginning mean something of their own, and Linux the root.
    """
    points = ("/", "/w", "/w/x", "/w/x/y", "/wx", "/w/x", "/w//deleted")
    rows = [
        MountRow(number, "0:1", "/", point, read_only=False, kind="ext4")
        for number, point in enumerate(points)
    ]
    paths = ("/", "/w", "/w/x/z", "/w/x/y/z", "/wx/x", "/v", "/w/xy", "/w//deleted", "//w", "//w/x")
    for path in paths:
        for table in (rows, rows[1:]):
            assert MountTable(table).find(path) is search(table, path)


WATCH = """
import subprocess, sys
from airlock_daemon.platform.linux.mountinfo import MountWatch
watch = MountWatch()
seen = [watch.has_changed()]
for words in (["mount", "-t", "tmpfs", "x", sys.argv[1]], ["true"], ["umount", sys.argv[1]],
              ["unshare", "--mount", "mount", "-t", "tmpfs", "x", sys.argv[1]]):
    subprocess.run(words, check=True)
    seen.append(watch.has_changed())
print(seen)
"""


def test_changes_of_mounts_are_seen_and_those_of_other_namespaces_not(tmp_path: Path) -> None:
    """Where this process may have a mount namespace of its own."""
    words = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", WATCH]
    ran = subprocess.run([*words, str(tmp_path)], check=True, capture_output=True, text=True)
    assert ran.stdout.strip() == "[False, True, False, True, False]"


RENAMED = """
import os, subprocess, sys
top = sys.argv[1]
os.makedirs(f"{top}/conf/secret")
subprocess.run(["mount", "-t", "tmpfs", "x", f"{top}/conf/secret"], check=True)
os.rename(f"{top}/conf", f"{top}/{sys.argv[2]}")
with open("/proc/self/mountinfo", "rb") as file:
    sys.stdout.buffer.write(file.read())
"""

BREAKS = ("\v", "\f", "\r", "\x1c", "\x1d", "\x1e", "\x85", "\u2028", "\u2029")
"""What ends a line for str.splitlines(); of all line breaks the kernel escapes \\n alone."""


@pytest.mark.parametrize("line_break", [*BREAKS, "\n"])
def test_no_name_of_a_directory_takes_a_mount_out_of_the_table(
    tmp_path: Path, line_break: str
) -> None:
    """A container may rename a directory above a mount, such as one that masks a file."""
    words = ["unshare", "--user", "--map-root-user", "--mount", sys.executable, "-c", RENAMED]
    words += [str(tmp_path), f"co{line_break}nf"]
    told = subprocess.run(words, check=True, capture_output=True).stdout
    table = MountTable.parse(os.fsdecode(told))
    assert f"{tmp_path}/co{line_break}nf/secret" in table.seen
    assert len(table) == told.count(b"\n")


@pytest.mark.parametrize("line_break", BREAKS)
def test_a_change_of_a_mount_is_told_by_its_whole_name(line_break: str) -> None:
    """As above, for what has changed."""
    after = f"{HOST}30 20 0:9 / /co{line_break}nf/secret rw - tmpfs tmpfs rw\n"
    assert find_changes(HOST, after) == (f"/co{line_break}nf/secret",)


def test_a_row_that_cannot_be_read_may_be_of_any_mount() -> None:
    """So that the others are not all that a container has."""
    assert MountTable.parse(CONTAINER).is_whole
    assert not MountTable.parse(f"{CONTAINER}nonsense\n").is_whole
