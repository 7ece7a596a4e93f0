"""A package's software bill of materials: what is installed with it, in CycloneDX."""

import json
import subprocess
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tasks.errors import TaskError
from tasks.release.tag import Package

_PROJECT = """\
[project]
name = "{name}-release"
version = "{version}"
requires-python = ">=3.11"
dependencies = ["{name}=={version}"]
[tool.uv]
environments = ["sys_platform == 'linux'"]
"""


def write_sbom(
    package: Package, out: Path, *, wheels: Sequence[Path], uv: Path, epoch: int
) -> Path:
    """Write NAME-VERSION.cdx.json into ``out``, and return it.

    It has what the package is installed with where it has the versions of ``wheels``, folders in
    which uv finds them, and asks no index. The same wheels give the same bytes, dated ``epoch``.
    Raises TaskError where uv does not find them.
    """
    with tempfile.TemporaryDirectory(prefix="airlock-sbom-") as folder:
        project = Path(folder, "pyproject.toml")
        project.write_text(_PROJECT.format(name=package.name, version=package.version))
        found = [f"--find-links={each}" for each in wheels]
        _ask(uv, folder, "lock", "--no-index", *found)
        words = ("export", "--frozen", "--format=cyclonedx1.5")
        document = json.loads(_ask(uv, folder, *words, "--preview"))
    made = out / f"{package.file_stem}.cdx.json"
    made.write_text(json.dumps(_settle(document, package, epoch), indent=2, sort_keys=True) + "\n")
    return made


def _settle(document: dict[str, Any], package: Package, epoch: int) -> dict[str, Any]:
    """Take out what differs each time, and name the package as what this is of."""
    day = datetime.fromtimestamp(epoch, UTC).isoformat().replace("+00:00", "Z")
    return {
        **{key: document[key] for key in document if key not in ("serialNumber", "metadata")},
        "metadata": {
            "timestamp": day,
            "component": {
                "type": "library",
                "bom-ref": document["metadata"]["component"]["bom-ref"],
                "name": package.name,
                "version": package.version,
                "purl": f"pkg:pypi/{package.name}@{package.version}",
            },
        },
    }


def _ask(uv: Path, folder: str, *words: str) -> str:
    done = subprocess.run(
        [uv, "--no-config", "--quiet", *words],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise TaskError(f"no bill of materials can be made: uv says {done.stderr.strip()}")
    return done.stdout
