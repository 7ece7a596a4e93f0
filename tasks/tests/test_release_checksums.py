"""Digests: written as sha256sum reads them, and compared."""

import subprocess
from pathlib import Path

from tasks.release.checksums import compare_folders, write_checksums


def _make(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        path = folder / "part" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def test_sha256sum_agrees(tmp_path: Path) -> None:
    """The file is one that sha256sum checks, with paths below its folder, sorted."""
    folder = _make(tmp_path, b="1", a="2")
    write_checksums(folder, (folder / "part" / name for name in "ba"))
    command = ["sha256sum", "--check", "--strict", "SHA256SUMS"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    assert done.stdout == "part/a: OK\npart/b: OK\n"


def test_alike_folders_have_no_differences(tmp_path: Path) -> None:
    """Two folders with the same files are alike, whenever these were written."""
    assert compare_folders(_make(tmp_path / "1", a="x"), _make(tmp_path / "2", a="x")) == ()


def test_each_difference_has_a_line(tmp_path: Path) -> None:
    """Content, modes and files that only one side has are differences."""
    one, other = _make(tmp_path / "1", a="x", b="", d=""), _make(tmp_path / "2", a="y", c="", d="")
    (other / "part" / "d").chmod(0o600)
    assert compare_folders(one, other) == (
        "part/a: differs",
        "part/b: only one build has it",
        "part/c: only one build has it",
        "part/d: differs",
    )
