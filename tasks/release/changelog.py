"""A package's changelog, in the sections that a release and a check read."""

import re
from dataclasses import dataclass

UNRELEASED = "Unreleased"
"""The title of the first section, which tells what the next release will bring."""

_HEAD = re.compile(r"^## (.*)\n", re.MULTILINE)


@dataclass(frozen=True)
class Section:
    """What one release brought, or the next one will."""

    title: str
    """UNRELEASED, or a version and a day: ``0.4.0 - 2026-11-25``."""
    notes: str
    """Without blank lines around them."""

    @property
    def version(self) -> str:
        """The version, "" where the title has no day."""
        version, found, _ = self.title.partition(" - ")
        return version if found else ""


def read_sections(text: str) -> tuple[Section, ...]:
    """Return the sections of a changelog from top to bottom, whatever their titles say."""
    _, *parts = _HEAD.split(text)
    return tuple(
        Section(title, notes.strip()) for title, notes in zip(parts[::2], parts[1::2], strict=True)
    )
