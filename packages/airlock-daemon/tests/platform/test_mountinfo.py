"""Tests of `airlock_daemon.platform.linux.mountinfo`."""

import subprocess
import sys
from pathlib import Path

from airlock_daemon.path_text import relative_to
from airlock_daemon.platform.linux.mountinfo import (
    MountRow,
    MountWatch,
    by_point,
    covering,
    find_mount,
    find_seen,
    parse_mountinfo,
)

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
    row = parse_mountinfo(CONTAINER)[-1]
    assert (row.point, row.root, row.kind) == ("/with space", "/home/me/with space", "ext4")


def test_rows_of_another_form_are_left_out() -> None:
    """A line that is no mount does not hide the others."""
    assert len(parse_mountinfo("nonsense\n1 2 3\n" + HOST)) == 3


def test_the_longest_mount_point_answers() -> None:
    """A nested mount answers for what lies below it, the outer one for the rest."""
    rows = parse_mountinfo(CONTAINER)
    nested = find_mount(rows, "/workspace/node_modules/x")
    outer = find_mount(rows, "/workspace/src")
    root = find_mount(rows, "/workspaces")
    assert nested is not None
    assert outer is not None
    assert root is not None
    assert (nested.root, nested.read_only) == ("/home/me/cache", True)
    assert (outer.root, outer.read_only) == ("/home/me/src", False)
    assert root.point == "/"


def test_the_later_of_two_mounts_at_one_point_answers() -> None:
    """What was mounted over another mount hides it."""
    rows = parse_mountinfo(
        "1 0 8:1 /old /w rw - ext4 /dev/a rw\n2 1 8:1 /new /w rw - ext4 /dev/a rw\n"
    )
    found = find_mount(rows, "/w/x")
    assert found is not None
    assert found.root == "/new"


def test_interfaces_of_the_kernel_are_told_from_places_for_files() -> None:
    """proc is marked, ext4 is not."""
    kinds = {row.point: row.is_pseudo for row in parse_mountinfo(CONTAINER)}
    assert kinds["/proc"]
    assert not kinds["/workspace"]


def test_a_directory_of_a_device_is_found_on_the_host() -> None:
    """Each host mount that shows the directory is named with the path where it shows it."""
    rows = parse_mountinfo(HOST)
    assert [path for _, path in covering(rows, device="254:1", root="/home/me/src")] == [
        "/home/me/src"
    ]
    assert [path for _, path in covering(rows, device="254:1", root="/srv/app")] == [
        "/srv/app",
        "/mnt/srv/app",
    ]
    assert covering(rows, device="0:52", root="/") == []


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


def test_what_is_seen_at_a_path_is_the_same_by_point() -> None:
    """The longest point above it, and of several mounts at one the last; nothing where none is."""
    points = ("/", "/w", "/w/x", "/w/x/y", "/wx", "/w/x")
    rows = [
        MountRow(number, "0:1", "/", point, read_only=False, kind="ext4")
        for number, point in enumerate(points)
    ]
    for path in ("/", "/w", "/w/x/z", "/w/x/y/z", "/wx/x", "/v", "/w/xy"):
        assert find_seen(by_point(rows), path) is find_mount(rows, path)
        assert find_seen(by_point(rows[1:]), path) is find_mount(rows[1:], path)


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
