"""The addresses in the packages' metadata lead to files that are there."""

import shutil
import tomllib
from pathlib import Path

import pytest
from tasks.errors import TaskError
from tasks.places import ROOT, list_members
from tasks.release.tag import list_packages
from tasks.release.urls import add_urls

REPOSITORY = "https://code.example/owner/repo"


@pytest.fixture
def sources(tmp_path: Path) -> Path:
    """Copies of our packages' metadata."""
    for member in list_members():
        copied = tmp_path / member.relative_to(ROOT)
        version = next(member.glob("src/*/_version.py")).relative_to(member)
        (copied / version).parent.mkdir(parents=True)
        shutil.copyfile(member / version, copied / version)
        shutil.copyfile(member / "pyproject.toml", copied / "pyproject.toml")
    return tmp_path


def test_files_are_linked_as_they_are_at_the_tag(sources: Path) -> None:
    """Each package links its own files, and those that are linked exist in the checkout."""
    add_urls(sources, REPOSITORY)
    for package in list_packages(sources):
        project = tomllib.loads((package.folder / "pyproject.toml").read_text())["project"]
        assert project["urls"]["Homepage"] == REPOSITORY
        assert {"Changelog", "Documentation", "Issues", "Security", "Source"} < set(project["urls"])
        tagged = [url for url in project["urls"].values() if f"/{package.tag}/" in url]
        assert len(tagged) == 4
        for url in tagged:
            assert url.startswith(f"{REPOSITORY}/")
            assert (ROOT / url.partition(f"/{package.tag}/")[2]).exists(), url


@pytest.mark.parametrize(
    "text",
    ["", "owner/repo", "https://code.example/owner", f'{REPOSITORY}"\nx = "', "http://a/b/c"],
)
def test_what_is_no_repository_is_refused(sources: Path, text: str) -> None:
    """Only an address of a repository gets into the metadata, and nothing else changes it."""
    before = {path: path.read_bytes() for path in sources.glob("packages/*/pyproject.toml")}
    with pytest.raises(TaskError, match="is not like https://HOST/OWNER/REPO"):
        add_urls(sources, text)
    assert {path: path.read_bytes() for path in before} == before
