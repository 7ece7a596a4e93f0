"""``./dev lock``, with a stand-in for uv that locks what it is asked for, and notes how."""

from contextlib import nullcontext
from pathlib import Path

import pytest
from tasks.lock import renew
from tasks.lock.declared import list_everything, list_run_time
from tasks.lock.renew import find_misfits, run_lock

UV = """#!/bin/sh
for word; do
  case $word in
    --output-file=*) output=${word#*=} ;;
    /*) wanted=$word ;;
  esac
done
echo "$*" | grep -o -e '--resolution=[^ ]*' -e '--constraint=[^ ]*' >>calls
[ ! -e "$output" ] || sed -n 's/==/ kept at /p' "$output" >>calls
printf 'a==2 \\\\\\n    --hash=sha256:2\\n    # via -r %s\\n' "$wanted" >"$output"
"""


@pytest.fixture
def locks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with three lock files of other declarations, in which ``uv`` leaves its calls."""
    program = tmp_path / "bin" / "uv"
    program.parent.mkdir()
    program.write_text(UV.replace("calls", str(tmp_path / "calls")))
    program.chmod(0o755)
    monkeypatch.setattr(renew, "install_tool", lambda *_, **__: tmp_path)
    monkeypatch.setattr(renew, "hold_lock", nullcontext)  # nothing of ours changes
    monkeypatch.setattr(renew, "ROOT", tmp_path)
    for name in ("DEVELOPMENT_LOCK", "LOWEST_LOCK", "IMAGES_LOCK"):
        path = tmp_path / f"{name}.txt"
        path.write_text("# declared: a\n\na==1 \\\n    --hash=sha256:1\n")
        monkeypatch.setattr(renew, name, path)
    return tmp_path


def test_renewed_locks_fit_and_keep_versions(locks: Path) -> None:
    """Each lock names what is declared for it, and uv was shown the versions of before."""
    assert len(list(find_misfits())) == 3
    assert run_lock([]) == 0
    assert list(find_misfits()) == []
    assert (locks / "calls").read_text().splitlines() == [
        "a kept at 1 \\",
        "--resolution=lowest-direct",
        "a kept at 1 \\",
        f"--constraint={locks}/DEVELOPMENT_LOCK.txt",
        "a kept at 1 \\",
    ]
    text = (locks / "DEVELOPMENT_LOCK.txt").read_text()
    assert text.endswith("\n\na==2 \\\n    --hash=sha256:2\n    # via -r declared\n")
    assert [line for line in text.splitlines() if line.startswith("# declared: ")] == [
        f"# declared: {word}" for word in list_everything()
    ]
    assert (locks / "LOWEST_LOCK.txt").read_text().count("# declared") == len(list_run_time())


def test_upgrade_starts_without_the_versions_of_before(locks: Path) -> None:
    """uv is then free to take the newest."""
    assert run_lock(["--upgrade"]) == 0
    assert "kept" not in (locks / "calls").read_text()
