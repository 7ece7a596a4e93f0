"""A tag is held against the sources before anything is published."""

from pathlib import Path

import pytest
from tasks.errors import TaskError
from tasks.release.changelog import read_sections
from tasks.release.tag import find_release, list_packages, read_notes


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A workspace of one package, airlock-wire 1.2.3."""
    folder = tmp_path / "packages" / "a"
    folder.mkdir(parents=True)
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "airlock-wire"\n[tool.hatch.version]\npath = "_version.py"\n'
    )
    (folder / "_version.py").write_text('"""Text."""\n\n__version__ = "1.2.3"\n')
    (folder / "CHANGELOG.md").write_text(
        "# Changes\n\n## Unreleased\n\n- next\n\n## 1.2.3 - 2001-02-03\n\n- new\n\n"
        "## 1.2.2 - 2001-02-02\n\n- old\n"
    )
    return tmp_path


def test_fitting_tag_names_its_package(root: Path) -> None:
    """The package is found, with the notes of its version alone."""
    package = find_release("wire-v1.2.3", root)
    assert (package.name, package.version) == ("airlock-wire", "1.2.3")
    assert package.file_stem == "airlock_wire-1.2.3"
    assert read_notes(package) == "- new\n"


@pytest.mark.parametrize(
    ("tag", "complaint"),
    [
        ("wire-v1.2.4", "the sources of airlock-wire say 1.2.3"),
        ("wire-v1.2", "the sources of airlock-wire say 1.2.3"),
        ("shim-v1.2.3", "releases no package; tags are wire-vVERSION"),
        ("v1.2.3", "releases no package"),
        ("wire-v1.2.3; true", "releases no package"),
    ],
)
def test_other_tags_are_refused(root: Path, tag: str, complaint: str) -> None:
    """A tag of another version, or of no package, is an error that says what would fit."""
    with pytest.raises(TaskError, match=complaint):
        find_release(tag, root)


@pytest.mark.parametrize(
    "text",
    [
        "# Changes\n",
        "# Changes\n\n## Unreleased\n\n- next\n",
        "## 1.2.3 - 2001-02-03\n\n## 1.2.2 - 2001-02-02\n\n- old\n",
        "## 1.2.30 - 2001-02-03\n\n- new\n",
        "## 1.2.3\n\n- new\n",
    ],
)
def test_release_without_notes_is_refused(root: Path, text: str) -> None:
    """What the changelog does not tell of is not released."""
    (root / "packages" / "a" / "CHANGELOG.md").write_text(text)
    with pytest.raises(TaskError, match=r"says nothing of 1\.2\.3"):
        find_release("wire-v1.2.3", root)


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
