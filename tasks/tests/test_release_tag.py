"""A tag is held against the sources before anything is published."""

import pytest
from tasks.errors import TaskError
from tasks.release.changelog import read_sections
from tasks.release.tag import find_release, list_packages


def test_workspace_is_ready_for_its_tags() -> None:
    """Each package of this workspace could be released, once its news have a title with a day."""
    packages = list_packages()
    assert {package.tag.partition("-v")[0] for package in packages} == {
        "daemon",
        "modules",
        "shim",
        "wire",
    }
    for package in packages:
        sections = read_sections((package.folder / "CHANGELOG.md").read_text())
        if package.version in {section.version for section in sections}:
            assert find_release(package.tag) == package
        else:
            with pytest.raises(TaskError, match="says nothing of"):
                find_release(package.tag)
