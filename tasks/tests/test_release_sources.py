"""What a build starts from, in a small repository."""

import os
import subprocess
from pathlib import Path

import pytest
from tasks.errors import TaskError
from tasks.release.sources import copy_sources, read_epoch


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository whose only commit is of a known time."""
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    folder = tmp_path / "checkout"
    package = folder / "packages" / "a"
    package.mkdir(parents=True)
    (folder / ".gitignore").write_text("_bin/\n")
    (package / "tracked").write_text("first")
    (package / "gone").write_text("")
    (package / "tracked").chmod(0o640)
    (package / "program").write_text("")
    (package / "program").chmod(0o700)
    (package / "link").symlink_to("tracked")
    date = "2001-02-03T04:05:06Z"
    author = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a", "GIT_AUTHOR_DATE": date}
    committer = {"GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a", "GIT_COMMITTER_DATE": date}
    nothing = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_SYSTEM": os.devnull}
    for words in (("init", "--quiet"), ("add", "."), ("commit", "--quiet", "--message=all")):
        environment = {**os.environ, **author, **committer, **nothing}
        subprocess.run(["git", *words], cwd=folder, env=environment, check=True)
    return folder


def test_copy_has_what_git_would_track(root: Path, tmp_path: Path) -> None:
    """Changes and new files are part of it; what was built, and what was deleted, is not."""
    package = root / "packages" / "a"
    (package / "tracked").write_text("changed")
    (package / "new").write_text("")
    (package / "gone").unlink()
    (package / "_bin").mkdir()
    (package / "_bin" / "built").write_text("")
    copy_sources(tmp_path / "copy", root)
    copied = tmp_path / "copy" / "packages" / "a"
    assert sorted(os.listdir(copied)) == ["link", "new", "program", "tracked"]
    assert (copied / "tracked").read_text() == "changed"


def test_copy_has_modes_that_git_knows(root: Path, tmp_path: Path) -> None:
    """Modes do not depend on the umask of who made the checkout, and links stay links."""
    copy_sources(tmp_path / "copy", root)
    copied = tmp_path / "copy" / "packages" / "a"
    assert (copied / "tracked").stat().st_mode & 0o777 == 0o644
    assert (copied / "program").stat().st_mode & 0o777 == 0o755
    assert os.readlink(copied / "link") == "tracked"


def test_date_is_that_of_the_last_commit(root: Path) -> None:
    """Without a date from outside, the last commit's counts."""
    assert read_epoch(root) == 981173106


def test_date_from_outside_comes_first(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SOURCE_DATE_EPOCH counts where it is set, and must be a number."""
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "5")
    assert read_epoch(root) == 5
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "today")
    with pytest.raises(TaskError, match="must be a number of seconds"):
        read_epoch(root)


def test_folder_outside_of_git_is_refused(tmp_path: Path, root: Path) -> None:
    """Without git there is no telling what belongs to the sources."""
    with pytest.raises(TaskError, match="needs the checkout's git"):
        copy_sources(tmp_path / "copy", tmp_path)
