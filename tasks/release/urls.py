"""``[project.urls]``: where the users of a package find its sources, its changes and help.

No file of the checkout names the repository that it is published from, so that a copy of it sends
nobody elsewhere: what builds a release says it.
"""

import re
from pathlib import Path

from tasks.errors import TaskError
from tasks.release.tag import Package, list_packages

_REPOSITORY = re.compile(r"https://[A-Za-z0-9.-]+/[A-Za-z0-9._-]+/[A-Za-z0-9._-]+")


def add_urls(sources: Path, repository: str) -> None:
    """Complete the metadata of each package below ``sources``, which is a copy of the checkout.

    ``repository`` is such as ``https://HOST/OWNER/REPO``, and what is linked there is that of the
    version's tag. Raises TaskError where it is nothing like that.
    """
    if not _REPOSITORY.fullmatch(repository):
        raise TaskError(f"{repository!r} is not like https://HOST/OWNER/REPO")
    for package in list_packages(sources):
        lines = [f'{name} = "{url}"\n' for name, url in list_urls(package, repository).items()]
        with (package.folder / "pyproject.toml").open("a") as file:
            file.writelines(["\n[project.urls]\n", *lines])


def list_urls(package: Package, repository: str) -> dict[str, str]:
    """Return URLs by names that package indexes know."""
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
