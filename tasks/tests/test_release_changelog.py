"""What the check of changelogs finds, one fault at a time."""

from datetime import date
from pathlib import Path

import pytest
from e2e.upgrade.releases import Release
from tasks.release.changelog_form import judge
from tasks.release.tag import Package

GOOD = """\
# Changelog of airlock-wire

## Unreleased

## 0.5.0 - 2001-02-04

- more

## 0.4.0 - 2001-02-03

- first
"""
RELEASES = (
    Release("airlock-wire", "0.4.0", "4" * 40, date(2001, 2, 3)),
    Release("airlock-wire", "0.5.0", "5" * 40, date(2001, 2, 4)),
)


def _judge(
    text: str, version: str = "0.5.0", releases: tuple[Release, ...] = RELEASES
) -> list[str]:
    return list(judge(text, Package("airlock-wire", version, Path()), releases))


def test_good_one_has_no_fault() -> None:
    """Released sections, with or without the list having heard of the newest, are well."""
    assert _judge(GOOD) == []
    assert _judge(GOOD, releases=RELEASES[:1]) == []


def test_raised_version_is_told_before_its_release() -> None:
    """A version that is to be released has its news in the first section."""
    assert _judge(GOOD, "0.6.0") == ["it says nothing of 0.6.0, which _version.py says"]
    assert _judge(GOOD.replace("Unreleased\n", "Unreleased\n\n- next\n"), "0.6.0") == []


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("of airlock-wire", "", "it has to begin with '# Changelog of airlock-wire'"),
        ("## Unreleased\n\n", "", "and '## Unreleased'"),
        ("0.5.0 - 2001-02-04", "0.5.0", "a title has to be like '0.4.0 - 2026-11-25', and '0.5.0'"),
        ("2001-02-04", "2001-02-30", "'0.5.0 - 2001-02-30' is not"),
        ("2001-02-04", "2001-02-05", "there is no section '## 0.5.0 - 2001-02-04'"),
        ("## 0.4.0 - 2001-02-03\n", "", "there is no section '## 0.4.0 - 2001-02-03'"),
        ("## 0.4.0 - 2001-02-03", "## 0.3.0 - 2001-02-03", "has no 0.3.0 - 2001-02-03"),
        ("## 0.4.0", "## 0.10.0", "0.5.0 stands above 0.10.0, and is not newer"),
        ("0.5.0 -", "0.6.0 -", "_version.py says 0.5.0, and 0.6.0 is newer"),
        ("- more\n", "", "0.5.0 says nothing"),
    ],
)
def test_fault_is_told(old: str, new: str, fault: str) -> None:
    """Each fault is found, and the line says what has to be there."""
    assert old in GOOD
    assert any(fault in line for line in _judge(GOOD.replace(old, new, 1)))
