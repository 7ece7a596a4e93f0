"""The lock: what is read from it, and that ours is complete, hashed and names no index."""

import re
from pathlib import Path

import pytest
from tasks.errors import TaskError
from tasks.lock import renew
from tasks.lock.declared import IMAGES, LOWEST, list_declared, list_run_time, read_name
from tasks.lock.locked import (
    DEVELOPMENT_LOCK,
    IMAGES_LOCK,
    LOWEST_LOCK,
    read_entries,
    read_locked,
    select,
)
from tasks.lock.renew import find_misfits
from tasks.lowest import LEFT_OUT
from tasks.places import ROOT

OURS = (DEVELOPMENT_LOCK, LOWEST_LOCK, IMAGES_LOCK)
TEXT = """\
# declared: a

a==1 \\
    --hash=sha256:1a \\
    --hash=sha256:1b
    # via -r declared
b==2 ; python_full_version < '3.12' \\
    --hash=sha256:2a
    # via
    #   -r declared
    #   a
b==3 ; python_full_version >= '3.12' \\
    --hash=sha256:3a
    # via a
c==4 \\
    --hash=sha256:4a
    # via b
d-e==5 \\
    --hash=sha256:5a
    # via -r declared
f==6 \\
    --hash=sha256:6a
    # via d-e
"""


def test_selection_is_what_requirements_lead_to() -> None:
    """What is required is selected with all that it needs, each kind of system's version of it."""
    selected = select(read_entries(TEXT), ["A>=1"])
    assert re.findall(r"^\S+", selected, re.MULTILINE) == ["a==1", "b==2", "b==3", "c==4"]
    assert "b==2 ; python_full_version < '3.12' \\\n    --hash=sha256:2a\n" in selected
    assert re.findall(r"sha256:(\w+)", selected) == ["1a", "1b", "2a", "3a", "4a"]


def test_names_are_one_however_they_are_spelt() -> None:
    """A requirement finds its entry by the name alone, with extras, a version or a marker."""
    for requirement in ("D_e", "d.E[x]>=1", "d-e; python_version < '4'"):
        assert select(read_entries(TEXT), [requirement]).count("==") == 2


def test_unlocked_requirement_is_refused() -> None:
    """Nothing is selected where a requirement is not locked."""
    with pytest.raises(TaskError, match=r"the lock has no g: run `\./dev lock`"):
        select(read_entries(TEXT), ["a", "g>1"])


@pytest.mark.parametrize("path", OURS, ids=lambda path: path.name)
def test_our_entries_have_hashes_and_no_address(path: Path) -> None:
    """Each entry is an exact version with hashes, and no index or other place is named."""
    text = path.read_text()
    pins = re.findall(r"^[a-z0-9].*$", text, re.MULTILINE)
    assert all(re.match(r"[a-z0-9-]+==[^ ]+ (; .+ )?\\$", pin) for pin in pins), pins
    assert len({read_name(pin) for pin in pins}) == len(read_entries(text))
    assert not re.search(r"://|^\s*-(?!-hash=sha256:[0-9a-f]{64})", text, re.MULTILINE)


def test_lowest_are_what_is_declared() -> None:
    """The environment of the lowest has each lower bound itself, and its tools as elsewhere."""
    locked = read_locked(LOWEST)
    for requirement in list_run_time():
        name, bound = requirement.split(",")[0].split(">=")
        assert re.search(rf"^{name}=={re.escape(bound)}(\.0)* ", locked, re.MULTILINE), requirement
    for entry in select(read_entries(DEVELOPMENT_LOCK.read_text()), ["pytest"]).splitlines():
        # Where it is needed, another environment may need it on more systems.
        assert entry.partition(" ; ")[0].removesuffix(" \\") in locked


@pytest.mark.parametrize("folder", LEFT_OUT)
def test_lowest_leave_out_what_is_there(folder: str) -> None:
    """What `./dev lowest` leaves out has not gone elsewhere."""
    assert (ROOT / folder).exists()


def test_images_get_what_is_tested() -> None:
    """Every version in the images is the one that development has."""
    development = set(re.findall(r"^\S+==\S+", DEVELOPMENT_LOCK.read_text(), re.MULTILINE))
    assert set(re.findall(r"^\S+==\S+", read_locked(IMAGES), re.MULTILINE)) <= development


def test_images_need_the_same_for_every_python() -> None:
    """No entry is for some releases of Python: pip would ask the one that builds the image."""
    assert re.search("python(_full)?_version", read_locked(IMAGES)) is None


def test_ours_fits_what_is_declared() -> None:
    """`./dev lint` would say so if a pyproject.toml had changed since."""
    assert list(find_misfits()) == []


@pytest.mark.parametrize(
    ("line", "other"),
    [
        ("# declared: trio>=0.27\n", ""),
        ("# declared: trio>=0.27\n", "# declared: trio>=0.26\n"),
        ("\n\n", "\n# declared: more>=1\n\n"),
    ],
)
def test_changed_declaration_is_found(
    line: str, other: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A requirement that is new, gone or another makes a lock that does not fit."""
    text = LOWEST_LOCK.read_text()
    assert line in text
    changed = tmp_path / "lowest.txt"
    changed.write_text(text.replace(line, other, 1))
    monkeypatch.setattr(renew, "ROOT", tmp_path)
    for name in ("DEVELOPMENT_LOCK", "LOWEST_LOCK", "IMAGES_LOCK"):
        monkeypatch.setattr(renew, name, changed)
    assert any(fault.startswith("lowest.txt does not fit") for fault in find_misfits())


def test_environments_are_declared_with_what_builds_them() -> None:
    """An environment gets what its packages are built with, since nothing else is downloaded."""
    assert {"hatchling>=1.26", "ziglang==0.15.2"} <= set(list_declared("demo"))
    assert not {read_name(word) for word in list_declared("demo")} & {"airlock-wire", "pytest"}
