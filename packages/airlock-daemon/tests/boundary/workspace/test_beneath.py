"""Tests of `airlock_daemon.boundary.workspace.beneath`: where a path may go below a directory."""

import errno
import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from airlock_daemon.boundary.workspace import beneath
from airlock_daemon.boundary.workspace.beneath import (
    MAX_LINKS,
    MAX_STEPS,
    LeadsOutError,
    count,
    follow,
    open_beneath,
)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory with `a/b/file`, beside another one."""
    (tmp_path / "beside").mkdir()
    root = tmp_path / "root"
    (root / "a" / "b").mkdir(parents=True)
    (root / "a" / "b" / "file").touch()
    return root


@pytest.fixture
def descriptors() -> Iterator[set[str]]:
    """Require that a test leaves no more open descriptors than there were."""
    before = set(os.listdir("/proc/self/fd"))
    yield before
    assert set(os.listdir("/proc/self/fd")) == before


def go(root: Path, path: str, *, start: str = "") -> None:
    """Follow a path from `start`, a directory below the root."""
    descriptor = os.open(root, os.O_PATH)
    inner = os.open(root / start, os.O_PATH)
    depth = len(Path(start).parts)
    try:
        follow(inner, path.split("/"), depth=depth, root=descriptor, root_path=str(root))
    finally:
        os.close(inner)
        os.close(descriptor)


@pytest.mark.parametrize(
    "path", ["", ".", "a", "a/b/file", "a//./b/", "a/../a/b/..", "new", "a/new/x", "a/b/file/x"]
)
def test_what_stays_below_may_exist_or_not(root: Path, path: str, descriptors: set[str]) -> None:
    """Files, directories and names that are free are followed, and nothing is left open."""
    go(root, path)


@pytest.mark.parametrize(
    "path", ["..", "a/../..", "a/b/../../../beside", "new/../..", "a/b/file/../../../.."]
)
def test_dots_do_not_leave_the_root(root: Path, path: str, descriptors: set[str]) -> None:
    """Neither through directories that are there nor through names that are not."""
    with pytest.raises(LeadsOutError):
        go(root, path)


def test_dots_go_up_from_a_start_below_the_root(root: Path) -> None:
    """From a directory inside, `..` leads as far as the root and no further."""
    go(root, "../../a", start="a/b")
    with pytest.raises(LeadsOutError):
        go(root, "../../..", start="a/b")


@pytest.mark.parametrize("target", ["a/b", "./a", "a/../a", "{root}", "{root}/a", "nowhere"])
def test_links_that_stay_are_followed(root: Path, target: str) -> None:
    """Relative ones, absolute ones that lead back, and one that leads to a free name."""
    (root / "link").symlink_to(target.format(root=root))
    go(root, "link/x")


@pytest.mark.parametrize(
    "target", ["/", "/etc", "..", "../beside", "a/../..", "{root}x", "{root}/..", "/proc/self/cwd"]
)
def test_links_that_leave_are_refused(root: Path, target: str, descriptors: set[str]) -> None:
    """However the link is written, also where it would come back."""
    (root / "link").symlink_to(target.format(root=root))
    for path in ("link", "link/root/a", "a/../link"):
        with pytest.raises(LeadsOutError):
            go(root, path)


def test_a_link_is_followed_before_the_dots_behind_it(root: Path) -> None:
    """`link/..` is the directory above the link's target."""
    (root / "link").symlink_to("a/b")
    go(root, "link/../b/file")
    with pytest.raises(LeadsOutError):
        go(root, "link/../../..")


def test_links_in_a_circle_end(root: Path, descriptors: set[str]) -> None:
    """A loop of links is an error, as it is for the kernel."""
    (root / "one").symlink_to("two")
    (root / "two").symlink_to("one")
    with pytest.raises(OSError, match="symbolic links") as caught:
        go(root, "one")
    assert caught.value.errno == errno.ELOOP


def test_as_many_links_as_the_kernel_follows(root: Path) -> None:
    """A chain that the kernel would still follow is followed."""
    (root / "0").symlink_to("a")
    for number in range(1, MAX_LINKS):
        (root / str(number)).symlink_to(str(number - 1))
    go(root, f"{MAX_LINKS - 1}/b")
    assert (root / f"{MAX_LINKS - 1}" / "b").is_dir()


def test_a_fifo_does_not_hang(root: Path) -> None:
    """Nothing is opened but to look where it is."""
    os.mkfifo(root / "fifo")
    go(root, "fifo")


def test_bytes_that_are_no_text_are_followed(root: Path) -> None:
    """A name need not be UTF-8."""
    (root / os.fsdecode(b"\xff")).symlink_to("..")
    with pytest.raises(LeadsOutError):
        go(root, os.fsdecode(b"\xff/x"))


def test_as_text_dots_take_back_the_word_before(root: Path) -> None:
    """A tool that shortens paths does not know what a link is."""
    count(["link", "..", "a"], depth=0)
    count(["..", "x"], depth=1)
    for parts in (["link", "..", "..", "root"], ["..", "a"], ["", ".", ".."]):
        with pytest.raises(LeadsOutError):
            count(parts, depth=0)


def enter(root: Path, path: str) -> str:
    """The real path of the directory that is opened below the root."""
    above = os.open(root, os.O_PATH)
    try:
        descriptor = open_beneath(above, path, root_path=str(root))
    finally:
        os.close(above)
    try:
        return os.readlink(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def test_a_directory_is_opened_through_links_that_stay_below(
    root: Path, descriptors: set[str]
) -> None:
    """Relative and absolute ones, one after the other."""
    (root / "one").symlink_to(root / "two")
    (root / "two").symlink_to("a/../a/b")
    for path in ("a/b", "one", "two/.", "one/../b"):
        assert enter(root, path) == str(root / "a" / "b")


def test_what_is_no_directory_below_is_not_opened(root: Path, descriptors: set[str]) -> None:
    """A file, nothing at all, a loop, and every way out: each has its error."""
    (root / "file").symlink_to("a/b/file")
    (root / "loop").symlink_to("loop")
    (root / "out").symlink_to("../beside")
    (root / "far").symlink_to("/proc/self/cwd")
    for path, number in (
        ("a/b/file", errno.ENOTDIR),
        ("file", errno.ENOTDIR),
        ("file/x", errno.ENOTDIR),
        ("missing", errno.ENOENT),
        ("loop", errno.ELOOP),
    ):
        with pytest.raises(OSError, match=re.escape(os.strerror(number))):
            enter(root, path)
    for path in ("out", "far", "..", "a/../../beside"):
        with pytest.raises(LeadsOutError):
            enter(root, path)


def test_a_path_of_too_many_steps_is_not_followed(root: Path, descriptors: set[str]) -> None:
    """Directories and links count alike, so that one path cannot keep everybody waiting."""
    long = "/".join(["a", ".."] * (MAX_STEPS // 2))
    assert enter(root, long) == str(root)
    (root / "link").symlink_to("a/../" * 10)
    for path in (f"{long}/a", "link/" * (MAX_LINKS // 2)):
        with pytest.raises(OSError, match="too long"):
            enter(root, path)
        with pytest.raises(OSError, match="too long"):
            go(root, path)


def test_a_directory_that_is_moved_away_meanwhile_leads_out(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is below it is not below the workspace any more."""
    real = beneath._open

    def open_and_move(part: str, directory: int, *, at_once: bool) -> int | str | None:
        found = real(part, directory, at_once=at_once)
        if part == "a":
            (root / "a").rename(root.parent / "away")
        return found

    monkeypatch.setattr(beneath, "_open", open_and_move)
    with pytest.raises(LeadsOutError):
        go(root, "a/b")
