"""The channels: their manifests say what the packages and the documentation are."""

import json

import pytest
from tasks.places import ROOT
from tasks.release.channels import CHANNELS, SKILL, make_skill
from tasks.release.tag import list_packages

VERSIONS = {package.name: package.version for package in list_packages()}


@pytest.mark.parametrize(
    ("manifest", "package"),
    [
        ("devcontainer/airlock/devcontainer-feature.json", "airlock-shim"),
        ("plugin/.claude-plugin/plugin.json", "airlock-daemon"),
    ],
)
def test_a_channel_has_the_version_of_its_package(manifest: str, package: str) -> None:
    """Whoever releases the package raises both."""
    assert json.loads((CHANNELS / manifest).read_text())["version"] == VERSIONS[package]


def test_the_skill_is_the_page_for_agents() -> None:
    """One text: `python -m tasks.release.channels` writes the skill anew."""
    assert SKILL.read_text() == make_skill()


def test_the_marketplace_has_the_plugin() -> None:
    """Under the name that is typed to install it, and with the folder that it is in."""
    marketplace = json.loads((ROOT / ".claude-plugin/marketplace.json").read_text())
    (plugin,) = marketplace["plugins"]
    manifest = json.loads((ROOT / plugin["source"] / ".claude-plugin/plugin.json").read_text())
    assert (marketplace["name"], plugin["name"], manifest["name"]) == ("airlock",) * 3
