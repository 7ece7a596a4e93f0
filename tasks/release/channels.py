"""The channels of ``channels/``: what they have of packages and documentation, and what is built.

``python -m tasks.release.channels`` writes the versions and texts that come from elsewhere.
"""

import gzip
import re
import shutil
import tarfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from tasks.blocks import list_blocks
from tasks.places import ROOT
from tasks.release.tag import list_packages

CHANNELS = ROOT / "channels"
SKILL = CHANNELS / "plugin" / "skills" / "airlock" / "SKILL.md"
"""The skill of Claude Code and Codex."""
_VERSIONS = {
    "channels/action/action.yml": ("airlock-daemon", r"(?<=airlock-daemon\[run\]==)[0-9.]+"),
    "channels/devcontainer/airlock/devcontainer-feature.json": (
        "airlock-shim",
        r'(?<="version": ")[^"]+',
    ),
    "channels/helm/airlock/Chart.yaml": (
        "airlock-daemon",
        r'(?m)(?<=^version: )\S+|(?<=^appVersion: ")[^"]+',
    ),
    "channels/plugin/.claude-plugin/plugin.json": ("airlock-daemon", r'(?<="version": ")[^"]+'),
    "packages/airlock-shim/native/version.zig": ("airlock-shim", r'(?<=text = ")[^"]+'),
    "docs/where/kubernetes.md": (
        "airlock-daemon",
        r"(?<=newTag: )[0-9.]+|(?<=--version )[0-9.]+|(?<=airlock-daemon:)[0-9.]+",
    ),
}
"""Files with the version of a package, and where in them it is."""
_SKILL = """\
---
name: airlock
description: 'Use when a message begins with "airlock: ", when git push or fetch, ssh, aws, \
terraform, gh, npm or an API is refused or has no credential, or before looking for a key, \
a token or a login in this container.'
---

# Working behind Airlock

"""


def write_channels(folder: Path, *, binaries: Iterable[Path], epoch: int) -> list[Path]:
    """Write them into a new folder, and return their files.

    ``binaries`` are the shim's, one for each processor; ``epoch`` dates what archives have in them.
    """
    write_feature(folder / "devcontainer" / "airlock", binaries)
    write_chart(folder / "helm", epoch=epoch)
    return sorted(path for path in folder.rglob("*") if path.is_file())


def write_feature(folder: Path, binaries: Iterable[Path]) -> None:
    """Write the feature of Development Containers, with the shim in it, into a new folder."""
    shutil.copytree(CHANNELS / "devcontainer" / "airlock", folder)
    for binary in binaries:
        shutil.copy(binary, folder)


def write_chart(folder: Path, *, epoch: int) -> Path:
    """Write the chart of Helm into a new folder, as ``helm package`` does, and return the archive.

    Where the checkout has a link to the base of kustomize the archive has that file.
    """
    versions = {package.name: package.version for package in list_packages()}
    folder.mkdir(parents=True)
    archive = folder / f"airlock-{versions['airlock-daemon']}.tgz"
    recipe = CHANNELS / "helm"
    with (
        archive.open("wb") as file,
        gzip.GzipFile(filename="", fileobj=file, mode="wb", mtime=epoch) as packed,
        tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as chart,
    ):
        for path in sorted(path for path in recipe.rglob("*") if path.is_file()):
            entry = tarfile.TarInfo(path.relative_to(recipe).as_posix())
            entry.size, entry.mtime = path.stat().st_size, epoch
            with path.open("rb") as content:
                chart.addfile(entry, content)
    archive.chmod(0o644)
    return archive


def fill_versions(versions: Mapping[str, str], root: Path = ROOT) -> dict[Path, str]:
    """Return the text of each manifest and page with the versions of these packages in it."""
    texts = {}
    for name, (package, pattern) in _VERSIONS.items():
        path = root / name
        texts[path] = re.sub(pattern, versions[package], path.read_text())
    return texts


def make_skill() -> str:
    """Return the skill for coding agents: the text of ``docs/for-agents.md``."""
    text = next(block.text for block in list_blocks("docs/for-agents.md"))
    return f"{_SKILL}{text}"


def write_manifests() -> None:
    """Write what is made of something else: versions in manifests and pages, and the skill."""
    versions = {package.name: package.version for package in list_packages()}
    for path, text in {**fill_versions(versions), SKILL: make_skill()}.items():
        path.write_text(text)


if __name__ == "__main__":
    write_manifests()
