"""The list of releases, ``releases.toml``, as values. Standard library only."""

import tomllib
from dataclasses import dataclass
from datetime import date
from pathlib import Path

LIST = Path(__file__).with_name("releases.toml")
"""A table ``release`` for each version of each package."""


@dataclass(frozen=True, slots=True)
class Release:
    """A version of one package, and where its sources are in the history."""

    package: str
    """Name of the distribution, such as ``airlock-wire``."""
    version: str
    commit: str
    """40 hexadecimal digits."""
    date: date
    """The day of the commit, in UTC; that of the version's section in the changelog."""
    fails_with: tuple[str, ...] = ()
    """Requirements: with which versions of other packages it does not start, against its ranges."""


def list_releases(package: str = "") -> tuple[Release, ...]:
    """Return the releases of a package, of all unless named, in the order that they were made."""
    entries = tomllib.loads(LIST.read_text())["release"]
    releases = [
        Release(**{**entry, "fails_with": tuple(entry.get("fails_with", ()))}) for entry in entries
    ]
    return tuple(release for release in releases if package in {"", release.package})
