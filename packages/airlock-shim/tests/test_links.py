"""Links made from Python."""

import subprocess
from pathlib import Path

import pytest

from airlock_shim import LinkError, install


def test_links_are_made_once(shim: Path, tmp_path: Path) -> None:
    """Missing directories are made, links lead to the shim, and doing it again is no problem."""
    place = tmp_path / "new" / "bin"
    links = install(place, ["git", "aws"])
    assert links == (place / "git", place / "aws")
    assert all(link.is_symlink() and link.resolve() == shim.resolve() for link in links)
    assert install(str(place), ["git"]) == (place / "git",)


def test_both_ways_to_install_agree(shim: Path, tmp_path: Path) -> None:
    """What the shim itself installed is recognised here, and the other way round."""
    subprocess.run([shim, "--install", tmp_path, "git"], check=True)
    assert install(tmp_path, ["git", "aws"]) == (tmp_path / "git", tmp_path / "aws")
    subprocess.run([shim, "--install", tmp_path, "git", "aws"], check=True)
    assert {path.readlink() for path in tmp_path.iterdir()} == {shim}


def test_all_problems_are_told(shim: Path, tmp_path: Path) -> None:
    """What is something else stays, and the other links are made."""
    (tmp_path / "git").write_text("the real one")
    (tmp_path / "aws").symlink_to("nowhere")
    with pytest.raises(LinkError) as caught:
        install(tmp_path, ["git", "gh", "aws"])
    assert [problem.split(" is there")[0] for problem in caught.value.problems] == [
        str(tmp_path / "git"),
        str(tmp_path / "aws"),
    ]
    assert (tmp_path / "gh").is_symlink()
    assert (tmp_path / "git").read_text() == "the real one"


@pytest.mark.parametrize("name", ["", "a/b", "..", "-x", "airlock-shim", "git\n", "x" * 65])
def test_impossible_names_are_refused(shim: Path, tmp_path: Path, name: str) -> None:
    """A name that no command can have is a problem before anything is made."""
    place = tmp_path / "bin"
    with pytest.raises(LinkError, match="no command can be called"):
        install(place, ["git", name])
    assert not place.exists()


def test_directory_that_cannot_be_made_is_told(shim: Path, tmp_path: Path) -> None:
    """The system's reason is in the error."""
    (tmp_path / "file").write_text("")
    with pytest.raises(LinkError, match=r"cannot make the directory .*file/bin: Not a directory"):
        install(tmp_path / "file" / "bin", ["git"])
