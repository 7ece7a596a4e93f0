"""``[project.urls]``: links to a package's sources, changes and help.

No file of the checkout names its repository, so that a fork does not link to another: the release
build adds it.
"""

import re
from pathlib import Path

from tasks.errors import TaskError
from tasks.release.tag import Package, list_packages

_REPOSITORY = re.compile(r"https://[A-Za-z0-9.-]+/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")


def add_urls(sources: Path, repository: str) -> None:
    """Add URLs to the metadata of each package below ``sources``, a copy of the checkout.

    ``repository`` is like ``https://HOST/OWNER/REPO``; the links refer to the version's tag. Raises
    TaskError if it is not such a URL.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise TaskError(f"{repository!r} is not like https://HOST/OWNER/REPO")
    for package in list_packages(sources):
        lines = [f'{name} = "{url}"\n' for name, url in list_urls(package, repository).items()]
        with (package.folder / "pyproject.toml").open("a") as file:
            file.writelines(["\n[project.urls]\n", *lines])


def list_urls(package: Package, repository: str) -> dict[str, str]:
    """Return URLs by labels that package indexes recognise."""
    tagged = f"{repository}/blob/{package.tag}"
    folder = f"packages/{package.folder.name}"
    return {
        "Homepage": repository,
        "Documentation": f"{tagged}/{folder}/README.md",
        "Changelog": f"{tagged}/{folder}/CHANGELOG.md",
        "Source": f"{repository}/tree/{package.tag}/{folder}",
        "Issues": f"{repository}/issues",
        "Security": f"{tagged}/SECURITY.md",
    }
