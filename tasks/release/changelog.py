"""Parsing a package's changelog into sections, for releases and checks."""

import re
from dataclasses import dataclass

UNRELEASED = "Unreleased"
"""The title of the first section, the changes of the next release."""

_HEAD = re.compile(r"^## (.*)\n", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """The changes of one release, or of the next one."""

    title: str
    """UNRELEASED, or a version and a day: ``0.4.0 - 2026-11-25``."""
    notes: str
    """Without blank lines around them."""

    @property
    def version(self) -> str:
        """The version, "" if the title has no date."""
        version, found, _ = self.title.partition(" - ")
        return version if found else ""


def cut_release(text: str, version: str, day: str) -> str:
    """Put what is under UNRELEASED under a title of a release, and leave UNRELEASED empty.

    A changelog that has that release already is returned as it is.
    """
    if any(section.version == version for section in read_sections(text)):
        return text
    head = f"## {UNRELEASED}\n"
    return text.replace(head, f"{head}\n## {version} - {day}\n", 1)


def read_sections(text: str) -> tuple[Section, ...]:
    """Return the sections of a changelog from top to bottom, with any titles."""
    _, *parts = _HEAD.split(text)
    return tuple(
        Section(title, notes.strip()) for title, notes in zip(parts[::2], parts[1::2], strict=True)
    )
