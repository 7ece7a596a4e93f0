"""The channels: their manifests say what the packages are."""

import json

import pytest
from tasks.release.channels import CHANNELS
from tasks.release.tag import list_packages

VERSIONS = {package.name: package.version for package in list_packages()}


@pytest.mark.parametrize(
    ("manifest", "package"), [("devcontainer/airlock/devcontainer-feature.json", "airlock-shim")]
)
def test_a_channel_has_the_version_of_its_package(manifest: str, package: str) -> None:
    """Whoever releases the package raises both."""
    assert json.loads((CHANNELS / manifest).read_text())["version"] == VERSIONS[package]
