"""The channels: their manifests say what the packages and the documentation are."""

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from tasks.environment import Environment
from tasks.places import ROOT
from tasks.release.channels import CHANNELS, SKILL, fill_versions, make_skill, write_chart
from tasks.release.tag import list_packages

HERE = Environment("here", Path(sys.prefix))
VERSIONS = {package.name: package.version for package in list_packages()}


def test_each_manifest_has_the_version_of_its_package() -> None:
    """`python -m tasks.release.channels` writes them, as does a release; each has one to raise."""
    for path, text in fill_versions(VERSIONS).items():
        assert path.read_text() == text
    raised = fill_versions(dict.fromkeys(VERSIONS, "10.11.12"))
    counts = {path.name: text.count("10.11.12") for path, text in raised.items()}
    others = ("action.yml", "devcontainer-feature.json", "plugin.json", "version.zig")
    assert counts == {"Chart.yaml": 2, "kubernetes.md": 3, **dict.fromkeys(others, 1)}


def test_the_chart_is_packed_with_the_base_of_kustomize(tmp_path: Path) -> None:
    """As a file, where the checkout has a link; and the same bytes each time."""
    archive, again = (write_chart(tmp_path / name, epoch=1) for name in ("one", "two"))
    assert archive.read_bytes() == again.read_bytes()
    with tarfile.open(archive) as chart:
        assert all(member.isfile() for member in chart)
        base = chart.extractfile("airlock/base.yaml")
        assert base is not None
        assert base.read() == (ROOT / "docker/kubernetes/deployment.yaml").read_bytes()


@pytest.mark.parametrize("persists", [True, False])
def test_the_action_starts_nothing_beside_the_token_of_a_checkout(
    tmp_path: Path, *, persists: bool
) -> None:
    """In .git/config, as actions/checkout leaves it there unless it is told not to."""
    subprocess.run(["git", "init", "--quiet", str(tmp_path)], check=True)
    if persists:
        words = ("config", "--local", "http.https://github.com/.extraheader", "AUTHORIZATION: x")
        subprocess.run(["git", "-C", str(tmp_path), *words], check=True)
    job = {"AIRLOCK_SSH_KEY": "", "GITHUB_WORKSPACE": str(tmp_path), "PATH": os.environ["PATH"]}
    argv = ["sh", str(CHANNELS / "action" / "start")]
    # Without RUNNER_TEMP it ends behind that look.
    done = subprocess.run(argv, env=job, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert ("persist-credentials: false" in done.stderr) is persists
    assert ("RUNNER_TEMP" in done.stderr) is not persists


def test_the_skill_is_the_page_for_agents() -> None:
    """One text: `python -m tasks.release.channels` writes the skill anew."""
    assert SKILL.read_text() == make_skill()


def test_the_command_of_the_plugin_allows_nothing_that_writes() -> None:
    """The person is asked for `agent add`, whose `--yes` a text in the project could ask for."""
    text = (CHANNELS / "plugin" / "commands" / "agent-add.md").read_text()
    [allowed] = [line for line in text.splitlines() if line.startswith("allowed-tools: ")]
    assert allowed == "allowed-tools: Bash(airlock --version), Bash(git remote -v)"


@pytest.mark.skipif(
    not (HERE.folder / "bin" / "zizmor").exists(), reason="zizmor is not installed here"
)
def test_the_action_fits_its_schema_and_gives_no_rights_away() -> None:
    """As GitHub reads it, and as zizmor finds text of others in scripts."""
    action = str(CHANNELS / "action" / "action.yml")
    schema = ("check-jsonschema", "--builtin-schema", "vendor.github-actions", action)
    zizmor = ("zizmor", "--offline", "--no-progress", "--persona=pedantic", action)
    for name, *words in (schema, zizmor):
        done = subprocess.run([str(HERE.find(name)), *words], capture_output=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_marketplace_has_the_plugin() -> None:
    """Under the name that is typed to install it, and with the folder that it is in."""
    marketplace = json.loads((ROOT / ".claude-plugin/marketplace.json").read_text())
    (plugin,) = marketplace["plugins"]
    manifest = json.loads((ROOT / plugin["source"] / ".claude-plugin/plugin.json").read_text())
    assert (marketplace["name"], plugin["name"], manifest["name"]) == ("airlock",) * 3
