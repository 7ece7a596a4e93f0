"""The lock: what is read from it, and that ours is complete, hashed and names no index."""

import re
from pathlib import Path

import pytest
from tasks.lock.declared import IMAGES, LOWEST, list_declared, list_run_time, read_name
from tasks.lock.locked import (
    DEVELOPMENT_LOCK,
    IMAGES_LOCK,
    LOWEST_LOCK,
    read_entries,
    read_locked,
    select,
)
from tasks.lowest import LEFT_OUT
from tasks.places import ROOT

OURS = (DEVELOPMENT_LOCK, LOWEST_LOCK, IMAGES_LOCK)


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


def test_environments_are_declared_with_what_builds_them() -> None:
    """An environment gets what its packages are built with, since nothing else is downloaded."""
    assert {"hatchling>=1.26", "ziglang==0.15.2"} <= set(list_declared("demo"))
    assert not {read_name(word) for word in list_declared("demo")} & {"airlock-wire", "pytest"}
