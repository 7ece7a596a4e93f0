"""Tests of `airlock_daemon.platform.linux.files`."""

import os
from pathlib import Path

import pytest

from airlock_daemon.platform.linux import files

_SAME = ("st_mode", "st_ino", "st_dev", "st_nlink", "st_uid", "st_gid")


@pytest.mark.parametrize("is_there", [True, False])
def test_it_is_what_fstat_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_there: bool
) -> None:
    """Of files of all kinds; also where there is no such call."""
    if not is_there:
        monkeypatch.setattr(files, "_statx", lambda: lambda *_: -1)
    (tmp_path / "link").symlink_to("away")
    (tmp_path / "file").touch()
    os.chmod(tmp_path / "file", 0o640)
    for path in (tmp_path, tmp_path / "link", tmp_path / "file", Path(os.devnull), Path("/proc")):
        descriptor = os.open(path, os.O_PATH | os.O_NOFOLLOW)
        known, asked = files.read_known_status(descriptor), os.fstat(descriptor)
        assert [getattr(known, name) for name in _SAME] == [getattr(asked, name) for name in _SAME]
        os.close(descriptor)


def test_a_number_that_is_not_open_is_an_error() -> None:
    """As of fstat."""
    with pytest.raises(OSError, match="Bad file descriptor"):
        files.read_known_status(1 << 20)
