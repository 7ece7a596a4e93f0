"""The required form of changelogs, for users and programs."""

import re
from collections.abc import Iterator, Sequence
from datetime import date
from itertools import pairwise

from e2e.upgrade.releases import Release, list_releases

from tasks.release.changelog import UNRELEASED, Section, read_sections
from tasks.release.tag import Package, list_packages, order_version

_RELEASED = re.compile(r"\d+\.\d+\.\d+ - (\d{4}-\d{2}-\d{2})")


def find_faults() -> Iterator[str]:
    """Yield a line for each fault of the workspace's changelogs."""
    for package in list_packages():
        text = (package.folder / "CHANGELOG.md").read_text()
        for fault in judge(text, package, list_releases(package.name)):
            yield f"packages/{package.folder.name}/CHANGELOG.md: {fault}"


def judge(text: str, package: Package, releases: Sequence[Release]) -> Iterator[str]:
    """Yield the faults of the changelog of a package with these ``releases``."""
    first, *released = read_sections(text) or (Section("", ""),)
    if not text.startswith(f"# Changelog of {package.name}\n\n## {UNRELEASED}\n"):
        yield f"it has to begin with '# Changelog of {package.name}' and '## {UNRELEASED}'"
    bad = [section.title for section in released if not _is_dated(section.title)]
    if bad:
        yield f"a title has to be like '0.4.0 - 2026-11-25', and {bad[0]!r} is not"
        return
    yield from (f"{section.version} says nothing" for section in released if not section.notes)
    for newer, older in pairwise(released):
        if order_version(newer.version) <= order_version(older.version):
            yield f"{newer.version} stands above {older.version}, and is not newer"
    newest = order_version(released[0].version if released else "0")
    if order_version(package.version) < newest:
        yield f"_version.py says {package.version}, and {released[0].version} is newer"
    if order_version(package.version) > newest and not first.notes:
        yield f"it says nothing of {package.version}, which _version.py says"
    yield from _compare(released, package.version, releases)


def _compare(
    released: Sequence[Section], version: str, releases: Sequence[Release]
) -> Iterator[str]:
    """Yield the differences between sections and the list of releases.

    A release is listed by a commit after its own: that of ``version`` may not be listed yet.
    """
    titles = {section.title for section in released}
    listed = {f"{release.version} - {release.date}" for release in releases}
    yield from (f"there is no section '## {title}'" for title in sorted(listed - titles))
    unlisted = {title for title in titles - listed if not title.startswith(f"{version} - ")}
    yield from (f"e2e/upgrade/releases.toml has no {title}" for title in sorted(unlisted))


def _is_dated(title: str) -> bool:
    match = _RELEASED.fullmatch(title)
    try:
        return match is not None and bool(date.fromisoformat(match[1]))
    except ValueError:
        return False
