"""Tests of `boundary.box.system`: programs, variables and files of the host in a box."""

from pathlib import Path

import pytest

from airlock_daemon.boundary.box.environment import is_withheld
from airlock_daemon.boundary.box.system import find_host_files
from airlock_daemon.errors import Denied


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("SSH_AUTH_SOCK", True),
        ("aws_session_token", True),
        ("AWS_" + "X" * 1000, True),
        ("DOCKER_" + "X" * 57, True),
        ("DOCKER_" + "X" * 58, True),
        ("AWS_REGION", False),
        ("X" * 1000, False),
        ("PATH", False),
    ],
)
def test_a_name_is_judged_alike_however_long_it_is_and_whenever_it_is_asked_for(
    name: str, expected: bool
) -> None:
    """What is remembered of short names is what is found of them."""
    assert [is_withheld(name) for _ in range(3)] == [expected] * 3


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A directory by its real path, which stands for the host's."""
    return tmp_path.resolve()


def write_program(path: Path, text: str = "\x7fELF") -> Path:
    """An executable file, with the directories above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def places(program: Path | str, root: Path, *, seen: tuple[str, ...] = ()) -> set[str]:
    """What is shown, as paths below the root where they lie there."""
    path = f"{root}/tools/bin:/usr/bin"
    found = find_host_files(str(program), home=f"{root}/home/me", path=path, seen=seen)
    return {place.removeprefix(f"{root}/") for place in found.shown}


def test_a_program_of_the_system_needs_nothing_more(root: Path) -> None:
    """Nor does a link to one, or a script of one."""
    assert places("/usr/bin/env", root) == places("/bin/sh", root) == set()


def test_a_program_elsewhere_comes_with_its_prefix(root: Path) -> None:
    """The parent of its bin directory, by the name and by the link's target."""
    target = write_program(root / "opt/tool-2/bin/tool")
    link = root / "links/bin/tool"
    link.parent.mkdir(parents=True)
    link.symlink_to(target)
    assert places(link, root) == {"links", "opt/tool-2"}


def test_a_script_comes_with_its_interpreter(root: Path) -> None:
    """Also where env looks for it on the path, with options before it."""
    write_program(root / "tools/bin/python9")
    direct = write_program(root / "a/bin/direct", f"#!{root}/tools/bin/python9 -u\n")
    found = write_program(root / "b/bin/found", "#!/usr/bin/env -S python9 -u\n")
    assert places(direct, root) == {"a", "tools"}
    assert places(found, root) == {"b", "tools"}


def test_a_virtual_environment_comes_with_its_python(root: Path) -> None:
    """The link in it, what that leads to, and the home that its file names."""
    python = write_program(root / "versions/3/bin/python3")
    tool = write_program(root / "venv/bin/tool", f"#!{root}/venv/bin/python\n")
    (root / "venv/bin/python").symlink_to(python)
    (root / "venv/pyvenv.cfg").write_text(f"home = {root}/versions/3/bin\nversion = 3\n")
    assert places(tool, root) == {"venv", "versions/3"}


@pytest.mark.parametrize("folder", ["home/me/.local/bin", "home/me/bin", "home/bin"])
def test_of_a_home_the_file_alone_is_shown(root: Path, folder: str) -> None:
    """Its parent would be the home, or what is above it."""
    assert places(write_program(root / folder / "tool"), root) == {f"{folder}/tool"}


def test_what_lies_in_no_bin_directory_is_refused_unless_it_is_seen_anyway(root: Path) -> None:
    """As a shim of pyenv or nodenv, which runs what a file of the workspace says."""
    program = write_program(root / "pyenv/shims/tool")
    with pytest.raises(Denied, match="bin directory"):
        places(program, root)
    assert places(program, root, seen=(f"{root}/pyenv",)) == set()


def test_links_in_a_circle_end(root: Path) -> None:
    """Nothing is followed for ever."""
    (root / "c/bin").mkdir(parents=True)
    (root / "c/bin/one").symlink_to("two")
    (root / "c/bin/two").symlink_to("one")
    assert places(root / "c/bin/one", root) == {"c"}
