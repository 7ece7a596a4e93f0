"""Paths in the checkout."""

from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
"""The top folder of the checkout."""

HATCH = ROOT / ".hatch"
"""Everything that is downloaded or built for development; not under version control."""

REPORTS = HATCH / "reports"
"""Machine-readable results of the last ``./dev test``."""

PICTURES = ROOT / "docs" / "pictures"
"""Programs' output as pictures for the documentation."""


def list_members() -> tuple[Path, ...]:
    """Return the folders of the workspace's packages, sorted."""
    return tuple(sorted(path.parent for path in ROOT.glob("packages/*/pyproject.toml")))
