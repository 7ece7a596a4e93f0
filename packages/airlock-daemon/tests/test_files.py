"""Tests of `airlock_daemon.files`, with real files."""

import os
import stat
import threading
from contextlib import ExitStack
from pathlib import Path

import pytest

from airlock_daemon.admin.change import Change
from airlock_daemon.admin.cli.changing import alone
from airlock_daemon.admin.toml_edit import edit
from airlock_daemon.errors import AirlockError
from airlock_daemon.files import make_directory, read_exact


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def apply(path: Path, after: str | None) -> ExitStack:
    """Change a file; returns what takes it back."""
    undo = ExitStack()
    Change(path=str(path), before=read_exact(str(path)), after=after).apply(undo)
    return undo


def test_a_new_file_is_private_and_goes_again(tmp_path: Path) -> None:
    """Whatever the umask is, and with nothing left beside it."""
    before = os.umask(0)
    undo = apply(tmp_path / "new", "text\r\n")
    os.umask(before)
    assert (tmp_path / "new").read_bytes() == b"text\r\n"
    assert mode(tmp_path / "new") == 0o600
    assert os.listdir(tmp_path) == ["new"]
    undo.close()
    assert os.listdir(tmp_path) == []


def test_a_changed_file_keeps_its_mode_and_is_restored(tmp_path: Path) -> None:
    """The new text comes in one step: who has the file open reads the old one to its end."""
    file = tmp_path / "file"
    file.write_bytes(b"old\r\n")
    file.chmod(0o640)
    with file.open() as reader:
        undo = apply(file, "new")
        assert reader.read() == "old\n"
    assert (file.read_text(), mode(file)) == ("new", 0o640)
    undo.close()
    assert (file.read_bytes(), mode(file)) == (b"old\r\n", 0o640)


def test_a_file_behind_a_link_is_changed_where_it_is(tmp_path: Path) -> None:
    """The link stays: some people keep such files elsewhere."""
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "file").write_text("old")
    (tmp_path / "link").symlink_to("kept/file")
    apply(tmp_path / "link", "new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "kept" / "file").read_text() == "new"


def test_a_removed_file_comes_back(tmp_path: Path) -> None:
    """With the text that it had."""
    (tmp_path / "file").write_text("old")
    undo = apply(tmp_path / "file", None)
    assert not (tmp_path / "file").exists()
    undo.close()
    assert (tmp_path / "file").read_text() == "old"


def test_what_was_changed_again_is_not_taken_back(tmp_path: Path) -> None:
    """It is not ours any more."""
    undo = apply(tmp_path / "file", "ours")
    (tmp_path / "file").write_text("theirs")
    undo.close()
    assert (tmp_path / "file").read_text() == "theirs"


def test_a_file_that_cannot_be_written_is_an_error_and_stays(tmp_path: Path) -> None:
    """The message names it; nothing half-written is left."""
    (tmp_path / "directory").mkdir()
    with pytest.raises(AirlockError, match="directory cannot be written"):
        Change(path=str(tmp_path / "directory"), before=None, after="x").apply(ExitStack())
    with pytest.raises(AirlockError, match="none/file cannot be written"):
        Change(path=str(tmp_path / "none" / "file"), before=None, after="x").apply(ExitStack())
    assert os.listdir(tmp_path) == ["directory"]
    with pytest.raises(AirlockError, match="cannot be read"):
        read_exact(str(tmp_path / "directory"))


def test_what_root_makes_belongs_to_the_owner_of_the_place(tmp_path: Path) -> None:
    """So that a daemon of that user can read it."""
    if os.geteuid() != 0:
        pytest.skip("giving files away takes root")
    os.chown(tmp_path, 65534, 65534)
    (tmp_path / "file").write_text("")
    os.chown(tmp_path / "file", 7, 7)
    for name in ("file", "new"):
        apply(tmp_path / name, "text")
    make_directory(str(tmp_path / "a" / "b"), mode=0o755, undo=ExitStack())
    owners = {path.name: path.stat().st_uid for path in tmp_path.rglob("*")}
    assert owners == {"file": 7, "new": 65534, "a": 65534, "b": 65534}


def test_directories_are_made_and_go_again_if_nothing_came_into_them(tmp_path: Path) -> None:
    """Those above are private; one that was there stays as it is."""
    (tmp_path / "there").mkdir(mode=0o711)
    undo = ExitStack()
    make_directory(str(tmp_path / "there"), mode=0o700, undo=undo)
    make_directory(str(tmp_path / "a" / "b"), mode=0o755, undo=undo)
    make_directory(str(tmp_path / "c"), mode=0o700, undo=undo)
    assert [mode(tmp_path / name) for name in ("there", "a", "a/b", "c")] == [
        0o711, 0o700, 0o755, 0o700,
    ]  # fmt: skip
    (tmp_path / "c" / "theirs").touch()
    undo.close()
    assert sorted(os.listdir(tmp_path)) == ["c", "there"]


def test_a_byte_order_mark_stays_and_is_not_in_the_way() -> None:
    """What edits does not see it."""
    assert edit("\ufeffa", str.upper) == "\ufeffA"
    assert edit("a", str.upper) == "A"
    assert edit("\ufeffa", lambda _: None) is None


def test_a_change_is_described_by_the_lines_that_go_and_come() -> None:
    """A new file whole; lines that begin like a diff's own are none."""
    change = Change(path="f", before="a\n--- b\nc\n", after="a\n+++ d\n\nc\n")
    assert list(change.describe()) == ["change f:", "    - --- b", "    + +++ d", "    +"]
    assert list(Change(path="f", before=None, after="a\n\nb").describe()) == [
        "make f:", "    a", "", "    b",
    ]  # fmt: skip
    assert list(Change(path="f", before="a", after=None).describe()) == ["remove f"]


def test_one_changes_files_while_the_others_wait(tmp_path: Path) -> None:
    """In whatever order they name the directories, and by whatever name."""
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    (tmp_path / "link").symlink_to("a")
    names = [str(tmp_path / name) for name in ("a", "b", "link")]
    waits, done = threading.Event(), threading.Event()

    def change() -> None:
        with alone(reversed(names), wait=waits.set):
            done.set()

    other = threading.Thread(target=change)
    with alone(names, wait=pytest.fail):
        other.start()
        assert waits.wait(30)
        assert not done.is_set()
    other.join(30)
    assert done.is_set()
